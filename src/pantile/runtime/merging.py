"""merge() without torch: the tensors of one image to its prediction; the kind of the config decides how."""

from dataclasses import replace

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.registry import ClassEvidence, MergeConfig
from pantile.runtime import centers, classes, masks, positions, queries  # noqa: F401 (each enters itself in KINDS)
from pantile.runtime.kinds import KINDS, Maps


def merge_arrays(
    maps: Maps,
    taxonomy: Taxonomy,
    config: MergeConfig,
    placement: Placement,
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> Prediction:
    """Equal to ``merge.merge`` for one image, but for pixels whose two best differ by the rounding of float32.

    Args:
        maps: the tensors of the image, without the batch, under the names that an exported file gives them.
        taxonomy: K classes.
        config: every threshold.
        placement: where the image lies in the network's input.
        tasks: what to fill beside the panoptic map.
    """
    prediction = KINDS[config.kind].predict(maps, taxonomy, config, placement, tasks)
    presence = maps.get("presence_logits")
    return replace(
        prediction,
        presence_logits=None if presence is None else presence.astype(np.float32),
        selected_classes=maps.get("classes"),
    )


def array_evidence(maps: Maps, config: MergeConfig, placement: Placement, num_classes: int) -> ClassEvidence:
    """Equal to ``merge.class_evidence.class_evidence``."""
    return KINDS[config.kind].evidence(maps, placement, config, num_classes)
