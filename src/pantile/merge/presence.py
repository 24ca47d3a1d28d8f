"""Outputs of image classifiers to predictions: which classes an image shows, and nothing of its pixels.

Their panoptic map is void everywhere; ``Prediction.presence_logits`` is what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.agreement import check_agreement
from pantile.merge.registry import ClassEvidence, MergeConfig, register_evidence, register_merge
from pantile.merge.tile_layout import Window
from pantile.merge.window_mosaic import WindowMosaic


@dataclass
class PresenceMergeConfig:
    """Attributes:
    kind: always "presence".
    """

    kind: Literal["presence"] = "presence"


@register_merge(PresenceMergeConfig, tasks=frozenset({"presence"}), main_metric="class_ap")
def predict_presence(
    output: SemanticOutput | WindowMosaic,
    taxonomy: Taxonomy,
    config: PresenceMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"presence"}),
) -> list[Prediction]:
    """``merge`` for image classifiers; see the module's docstring.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.class_logits), taxonomy, placements)
    return [
        Prediction(PanopticMap(np.zeros(placement.original, np.int32), ()), per_class=True) for placement in placements
    ]


@register_evidence(PresenceMergeConfig)
def _of_images(output: SemanticOutput | WindowMosaic, placement: Placement, config: MergeConfig) -> ClassEvidence:
    """None: nobody asks for it, as tiles agree that every pixel is void."""
    num_classes = output.num_classes

    def evidence(window: Window) -> np.ndarray:
        return np.zeros((num_classes, *window.size), np.float32)

    return evidence
