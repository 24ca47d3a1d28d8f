"""Queries with independent masks to predictions (Mask2Former, arXiv 2112.01527; MaskFormer, arXiv 2107.06278).

Panoptic: every pixel goes to the query of greatest class score times mask probability, and a query that does not win
most of its own mask is left out. Semantic: queries vote. Instance: every pair of query and thing class is a candidate.

Deviations from the originals: the candidates for instances are pairs with thing classes (the originals take the best
100 of all pairs, then drop stuff); empty instances are left out; classes per pixel are decided at the original size
also by models without instances (those originals resize the sums of votes instead of the masks).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.precision import autocast_off
from pantile.contracts.predictions import Instance, Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.threads import one_thread
from pantile.merge.agreement import check_agreement
from pantile.merge.instance_masks import best_candidates, distinct_queries, instances_of_strips
from pantile.merge.mask_bounds import NEAR_ZERO, RELATIVE, Window, tile_bounds
from pantile.merge.mask_strips import indices, sigmoid_strips
from pantile.merge.mask_tiles import sigmoid_tiles
from pantile.merge.query_config import QueryMergeConfig
from pantile.merge.query_tasks import most_voted_classes
from pantile.merge.registry import register_merge
from pantile.merge.resampling import Grid, original_grid
from pantile.merge.segments import Canvas
from pantile.merge.settled_classes import open_windows, settled_classes
from pantile.merge.winners import Winners, paint_winners

_CPU_TILE_COLUMNS = 128  # tiles stay in a core's cache
_STRIP_PIXELS = 2**16  # of a strip of whole columns, per query


@register_merge(QueryMergeConfig)
@torch.no_grad()
def predict_queries(
    output: MaskOutput,
    taxonomy: Taxonomy,
    config: QueryMergeConfig,
    placements: Sequence[Placement],
    tasks: frozenset[Task] = frozenset({"panoptic"}),
) -> list[Prediction]:
    """``merge`` for mask classification models with sigmoid masks, in any floating dtype on any device.

    Memory does not grow with the number of queries times the resolution of the result: logits are resized and decided
    on in tiles.

    Args:
        output: B images.
        taxonomy: K classes.
        config: thresholds.
        placements: B entries, where each image lies in the network's input.
        tasks: what to fill beside the panoptic map.

    Returns:
        B predictions at the original sizes. Ids are int32, 1..S in the order of queries, 0 for void; a segment's
        score is its query's class probability, the greatest of them for stuff merged from several. Instances come
        from the highest score to the lowest, class probability times mean mask probability. An image without a
        surviving query is all void.

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


def _predict_one(
    class_logits: Tensor,
    mask_logits: Tensor,
    taxonomy: Taxonomy,
    config: QueryMergeConfig,
    placement: Placement,
    tasks: frozenset[Task],
) -> Prediction:
    """(N, K+1) and (N, h, w) to the prediction of one image."""
    grid = original_grid(mask_logits.shape[-2:], placement, aligned=False)
    probability = (class_logits if class_logits.dtype == torch.float64 else class_logits.float()).softmax(dim=-1)
    survivors = _survivors(probability, config)
    prediction = _paint(mask_logits, survivors, grid, taxonomy, config).to_prediction()
    instances = semantic = None
    if "instance" in tasks:
        instances = _instances(mask_logits, probability[:, :-1], grid, taxonomy, config)
    if "semantic" in tasks:
        votes = probability[:, :-1]
        known = settled_classes(mask_logits, votes, grid, torch.sigmoid)
        columns, wanted = _tile_columns(mask_logits, grid), open_windows(known)
        every, none = torch.arange(len(votes), device=votes.device), torch.arange(0, device=votes.device)
        tiles = sigmoid_tiles(mask_logits, grid, config.chunk_rows, columns, lambda w: every if wanted(w) else none)
        semantic = most_voted_classes(tiles, votes, known)
    return replace(prediction, instances=instances, semantic=semantic)


class _Survivors(NamedTuple):
    """The queries that take part, C of them, ascending.

    Attributes:
        query: (C,) int64 on the device of the logits.
        score: (C,) on the same device.
        class_index: C entries.
    """

    query: Tensor
    score: Tensor
    class_index: list[int]


def _survivors(probability: Tensor, config: QueryMergeConfig) -> _Survivors:
    """(N, K+1): no-object must not be the best, and the best must be above the threshold."""
    score, best = probability.max(dim=1)
    passes = (best != probability.shape[1] - 1) & (score > config.object_threshold)
    query = passes.nonzero()[:, 0]
    return _Survivors(query, score[query], best[query].tolist())


def _paint(
    mask_logits: Tensor, survivors: _Survivors, grid: Grid, taxonomy: Taxonomy, config: QueryMergeConfig
) -> Canvas:
    """Finds every pixel's winner in one pass, then numbers those that are left."""
    count = len(survivors.class_index)
    if count == 0:
        return Canvas.empty(grid.size)
    # Winners c+1, negative outside their mask; a candidate has a number below 2^15.
    winners = np.empty(grid.size, np.int16)
    mask_areas = torch.zeros(count, dtype=torch.int64, device=mask_logits.device)
    kept_logits = mask_logits.index_select(0, survivors.query)
    weight = survivors.score.to(torch.float64 if mask_logits.dtype == torch.float64 else torch.float32)
    columns = _tile_columns(mask_logits, grid)
    contenders = _contenders(kept_logits, weight, grid, (config.chunk_rows, columns))
    for tile in sigmoid_tiles(kept_logits, grid, config.chunk_rows, columns, contenders):
        inside = tile.probability >= 0.5
        mask_areas.index_add_(0, tile.queries, inside.sum(dim=(0, 2)))
        winner = (tile.probability * weight[tile.queries, None]).max(dim=1).indices[:, None]
        number = tile.queries[winner] + 1
        winners[tile.window] = (
            torch.where(inside.gather(1, winner), number, -number)[:, 0].to(torch.int16).cpu().numpy()
        )

    chosen = Winners(
        winners, mask_areas.cpu().numpy(), survivors.query.tolist(), survivors.class_index, survivors.score.tolist()
    )
    return paint_winners(chosen, taxonomy, config)


def _contenders(mask_logits: Tensor, weight: Tensor, grid: Grid, tile: tuple[int, int]) -> Callable[[Window], Tensor]:
    """Which candidates may win a pixel of a tile, or have one in their mask: the others need not be resized there."""
    bounds = tile_bounds(mask_logits, grid, *tile)
    least, greatest = ((value.to(weight.dtype).sigmoid() * weight) for value in (bounds.least, bounds.greatest))
    loses = greatest < least.amax(dim=-1, keepdim=True) * (1 - RELATIVE)
    contends = ~(loses & (bounds.greatest < -NEAR_ZERO)).cpu().numpy()
    return lambda window: indices(contends[bounds.place(window)], mask_logits)


def _instances(
    mask_logits: Tensor, class_probability: Tensor, grid: Grid, taxonomy: Taxonomy, config: QueryMergeConfig
) -> tuple[Instance, ...]:
    candidates = best_candidates(class_probability.cpu().numpy(), taxonomy.thing_indices, config.instances)
    if not candidates:
        return ()
    strips = sigmoid_strips(
        mask_logits[distinct_queries(candidates)], grid, columns=max(1, _STRIP_PIXELS // grid.size[0])
    )
    return instances_of_strips(strips, candidates, grid.size)


def _tile_columns(mask_logits: Tensor, grid: Grid) -> int:
    return _CPU_TILE_COLUMNS if mask_logits.device.type == "cpu" else grid.size[1]
