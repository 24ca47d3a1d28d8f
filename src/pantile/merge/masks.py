"""Outputs of mask classification models whose queries compete for each pixel to predictions.

Instance and semantic predictions use the same softmax over queries as the panoptic map, always at the original size:
a query's mask is where its share of the pixel exceeds ``pixel_confidence``, and queries vote for the class of a pixel
with their shares.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Instance, Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.threads import one_thread
from pantile.merge.agreement import check_agreement
from pantile.merge.instance_masks import best_candidates, distinct_queries, instances_of_strips
from pantile.merge.likelihood import likelihood_tiles, these_first
from pantile.merge.mask_bounds import RELATIVE, Window, tile_bounds
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.mask_strips import TILE_ROWS, indices, strips_of
from pantile.merge.mask_tiles import MaskTile
from pantile.merge.mask_wise import merge_mask_wise
from pantile.merge.nearest_pixels import corners_aligned, ids_to_original
from pantile.merge.pixel_wise import merge_pixel_wise
from pantile.merge.query_tasks import most_voted_classes
from pantile.merge.registry import register_merge
from pantile.merge.resampling import Grid, original_grid, padded_grid
from pantile.merge.scores import score_queries
from pantile.merge.segments import Canvas
from pantile.merge.settled_classes import open_windows, settled_classes

_MERGERS = {"mask_wise": merge_mask_wise, "pixel_wise": merge_pixel_wise}
_STRIP_PIXELS = 2**15  # of a strip of whole columns, per query


@register_merge(MaskMergeConfig)
@torch.no_grad()
def predict_masks(
    output: MaskOutput,
    taxonomy: Taxonomy,
    config: MaskMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for mask classification models with a softmax over queries.

    Logits, class or mask, may be in any floating dtype on any device. Memory does not grow with the number of queries
    times the resolution of the result: logits are resized and decided on in tiles.

    Args:
        output: B images.
        taxonomy: K classes.
        config: thresholds and order of work.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map.

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S in the order of pasting, 0 for void; each segment
        has its class and a score, class score times mask score (of the best query, for stuff merged from several).
        Instances come from the highest score to the lowest, class probability times mean mask probability. An image
        without a surviving query is all void and has no segments.

    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    check_agreement(output, len(output.class_logits), taxonomy, placements)
    # Under a caller's autocast the resizing would run in bfloat16, which moves borders.
    with autocast_off(output.mask_logits.device), one_thread(output.mask_logits.device):
        return [
            _predict_one(class_logits, mask_logits, taxonomy, config, placement, tasks)
            for class_logits, mask_logits, placement in zip(
                output.class_logits, output.mask_logits, placements, strict=True
            )
        ]


def merge_masks(
    output: MaskOutput, taxonomy: Taxonomy, config: MaskMergeConfig, placements: Sequence[Placement]
) -> list[PanopticMap]:
    """The panoptic maps of ``predict_masks``."""
    return [prediction.panoptic for prediction in predict_masks(output, taxonomy, config, placements)]


def _predict_one(
    class_logits: Tensor,
    mask_logits: Tensor,
    taxonomy: Taxonomy,
    config: MaskMergeConfig,
    placement: Placement,
    tasks: frozenset[Task],
) -> Prediction:
    """(N, K+1) and (N, h, w) to the prediction of one image."""
    prediction = _merge_one(class_logits, mask_logits, taxonomy, config, placement)
    exact = class_logits if class_logits.dtype == torch.float64 else class_logits.float()
    class_probability = exact.softmax(dim=-1)[:, :-1]
    grid = original_grid(mask_logits.shape[-2:], placement, corners_aligned(placement))
    instances = semantic = None
    if "instance" in tasks:
        instances = _instances(mask_logits, class_probability, grid, taxonomy, config)
    if "semantic" in tasks:
        semantic = _classes(mask_logits, class_probability, grid, config)
    return replace(prediction, instances=instances, semantic=semantic)


def _merge_one(
    class_logits: Tensor, mask_logits: Tensor, taxonomy: Taxonomy, config: MaskMergeConfig, placement: Placement
) -> Prediction:
    size = (mask_logits.shape[-2], mask_logits.shape[-1])
    if config.resize_order == "logits_first":
        grid = original_grid(size, placement, corners_aligned(placement))
    else:
        grid = padded_grid(size, placement)
    scores = score_queries(class_logits, taxonomy, config)
    canvas = _MERGERS[config.kind](mask_logits, scores, grid, config).without_small(taxonomy, config)
    if config.resize_order == "ids_last":
        canvas = Canvas(ids_to_original(canvas.ids, placement), canvas.segments)
    return canvas.to_prediction()


def _instances(
    mask_logits: Tensor, class_probability: Tensor, grid: Grid, taxonomy: Taxonomy, config: MaskMergeConfig
) -> tuple[Instance, ...]:
    candidates = best_candidates(class_probability.cpu().numpy(), taxonomy.thing_indices, config.instances)
    if not candidates:
        return ()
    queries = np.array(distinct_queries(candidates))
    columns = max(1, _STRIP_PIXELS // grid.size[0])
    tiles = _shares(mask_logits, queries, grid, columns, config)
    strips = strips_of(tiles, len(queries), grid.size, columns, config.pixel_confidence)
    return instances_of_strips(strips, candidates, grid.size)


def _shares(
    mask_logits: Tensor, queries: np.ndarray, grid: Grid, columns: int, config: MaskMergeConfig
) -> Iterator[MaskTile]:
    """Probabilities of ``queries`` in tiles of a transposed grid, where they may exceed the pixel confidence; the
    others only take part in the softmax."""
    possible, place = _possible(mask_logits, queries, grid, columns, config.pixel_confidence)
    tiles = likelihood_tiles(
        mask_logits.transpose(1, 2).contiguous(),
        these_first(queries, mask_logits),
        grid.transposed,
        columns,
        TILE_ROWS,
        lambda window: possible[place(window)].any(),
    )
    for tile in tiles:
        rows, columns = tile.total.shape
        window = slice(tile.top, tile.top + rows), slice(tile.left, tile.left + columns)
        chosen = indices(possible[place(window)], mask_logits)
        yield MaskTile(tile.top, tile.left, tile.values.index_select(1, chosen) / tile.total[:, None], chosen)


def _possible(
    mask_logits: Tensor, queries: np.ndarray, grid: Grid, columns: int, confidence: float
) -> tuple[np.ndarray, Callable[[Window], tuple[int, int]]]:
    """(R, C, Q) bool of tiles of the image, whether a query's share may exceed the confidence; and where in it a window
    of the transposed grid is. A share above c exceeds every other by the factor c / (1 - c) at least."""
    bounds = tile_bounds(mask_logits - mask_logits.amax(dim=0), grid, TILE_ROWS, columns)
    factor = math.log(confidence / (1 - confidence)) if 0 < confidence < 1 else -math.inf
    needed = bounds.least.amax(dim=-1, keepdim=True) + factor
    impossible = bounds.greatest < needed - RELATIVE * (1 + needed.abs())
    return ~impossible.cpu().numpy()[..., queries], lambda window: bounds.place(window[::-1])


def _classes(mask_logits: Tensor, class_probability: Tensor, grid: Grid, config: MaskMergeConfig) -> np.ndarray:
    """(H, W) int32. A query votes with its likelihood, without the division by their sum, which changes no vote."""
    order = torch.arange(len(mask_logits), device=mask_logits.device)
    known = settled_classes(mask_logits - mask_logits.amax(dim=0), class_probability, grid, torch.exp)
    tiles = likelihood_tiles(mask_logits, order, grid, config.chunk_rows, wanted=open_windows(known))
    votes = (MaskTile(tile.top, tile.left, tile.values) for tile in tiles)
    return most_voted_classes(votes, class_probability, known)
