"""Outputs of mask classification models to panoptic maps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.mask_wise import merge_mask_wise
from pantile.merge.pixel_wise import merge_pixel_wise
from pantile.merge.resampling import ids_to_original, original_grid, padded_grid
from pantile.merge.scores import score_queries
from pantile.merge.segments import Canvas

_MERGERS = {"mask_wise": merge_mask_wise, "pixel_wise": merge_pixel_wise}


def predict_masks(
    output: MaskOutput,
    taxonomy: Taxonomy,
    config: MaskMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task],
) -> list[Prediction]:
    """``merge`` for mask classification models."""
    return [Prediction(panoptic) for panoptic in merge_masks(output, taxonomy, config, placements)]


@torch.no_grad()
def merge_masks(
    output: MaskOutput, taxonomy: Taxonomy, config: MaskMergeConfig, placements: Sequence[Placement]
) -> list[PanopticMap]:
    """Turns the output of a mask classification model into one panoptic map per image.

    Logits, class or mask, may be in any floating dtype on any device. Memory does not grow with the number of queries
    times the resolution of the result: logits are resized and decided on in tiles.

    Args:
        output: B images.
        taxonomy: K classes.
        config: thresholds and order of work.
        placements: B entries, where each image lies in the network's input.

    Returns:
        B maps at the original sizes: ids int32, 1..S in the order of pasting, 0 for void; each segment with its
        class and a score, class score times mask score (of the best query, for stuff merged from several). An image
        without a surviving query is all void and has no segments.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    images, _, columns = output.class_logits.shape
    if images != len(placements):
        raise UserError(f"The output holds {images} images but there are {len(placements)} placements: give one each.")
    if columns != taxonomy.num_classes + 1:
        raise UserError(
            f"The model predicts {columns - 1} classes but the taxonomy has {taxonomy.num_classes}: "
            "use the taxonomy that the model was trained with."
        )
    # Under a caller's autocast the resizing would run in bfloat16, which moves borders.
    with torch.autocast(output.mask_logits.device.type, enabled=False):
        return [
            _merge_one(class_logits, mask_logits, taxonomy, config, placement)
            for class_logits, mask_logits, placement in zip(
                output.class_logits, output.mask_logits, placements, strict=True
            )
        ]


def _merge_one(
    class_logits: Tensor, mask_logits: Tensor, taxonomy: Taxonomy, config: MaskMergeConfig, placement: Placement
) -> PanopticMap:
    """(N, K+1) and (N, h, w) to the map of one image."""
    decide_at = original_grid if config.resize_order == "logits_first" else padded_grid
    grid = decide_at(mask_logits.shape[-2:], placement)
    scores = score_queries(class_logits, taxonomy, config)
    canvas = _MERGERS[config.kind](mask_logits, scores, grid, config).without_small(taxonomy, config)
    if config.resize_order == "ids_last":
        canvas = Canvas(ids_to_original(canvas.ids, placement), canvas.segments)
    return canvas.to_map()
