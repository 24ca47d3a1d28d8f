"""merge(): any model's output to predictions; the kind of its config decides how."""

from collections.abc import Callable, Sequence

import torch

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.centers import predict_centers
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.masks import predict_masks
from pantile.merge.panoptic_fcn import predict_panoptic_fcn
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig
from pantile.merge.query_argmax import predict_queries
from pantile.merge.query_config import QueryMergeConfig

MergeConfig = MaskMergeConfig | CenterMergeConfig | QueryMergeConfig | PanopticFCNMergeConfig

_MERGERS: dict[type, Callable[..., list[Prediction]]] = {
    MaskMergeConfig: predict_masks,
    CenterMergeConfig: predict_centers,
    QueryMergeConfig: predict_queries,
    PanopticFCNMergeConfig: predict_panoptic_fcn,
}


@torch.no_grad()
def merge(
    output: ModelOutput,
    taxonomy: Taxonomy,
    config: MergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """Turns the output of a model into one prediction per image, at the images' original sizes.

    Args:
        output: B images, of the kind that ``config`` is for.
        taxonomy: K classes, those the model was trained on.
        config: every threshold.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map, which always comes.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    return _MERGERS[type(config)](output, taxonomy, config, placements, tasks)
