"""Masks of queries that compete for each pixel to predictions, with numpy: ``merge.masks``."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.nearest_pixels import corners_aligned, ids_to_original
from pantile.merge.pasting import NOBODY, Claims, paste_in_order
from pantile.merge.query_numbers import canvas_of, number_queries
from pantile.merge.query_scores import QueryScores, scores_of
from pantile.merge.segments import Canvas
from pantile.runtime.evidence import Evidence, evidence_of_masks
from pantile.runtime.grids import Grid, original_grid, padded_grid
from pantile.runtime.kinds import Maps, register
from pantile.runtime.tasks import instances_of_tiles, most_voted_classes
from pantile.runtime.tiles import Tile, at_least_float32, first_of_best, likelihood_tiles, softmax


def predict_masks(
    maps: Maps, taxonomy: Taxonomy, config: MaskMergeConfig, placement: Placement, tasks: frozenset[Task]
) -> Prediction:
    """Of class logits (N, K+1) and mask logits (N, h, w); see ``merge.masks.predict_masks``."""
    mask_logits = maps["mask_logits"]
    size = mask_logits.shape[-2:]
    probability = softmax(at_least_float32(maps["class_logits"]), axis=-1)[:, :-1]
    scores = scores_of(probability.argmax(axis=1), probability.max(axis=1).astype(np.float64), taxonomy, config)
    at_original = original_grid(size, placement, corners_aligned(placement))
    last = config.resize_order == "ids_last"
    grid = padded_grid(size, placement) if last else at_original
    canvas = _PAINTERS[config.kind](mask_logits, scores, grid, config).without_small(taxonomy, config)
    if last:
        canvas = Canvas(ids_to_original(canvas.ids, placement), canvas.segments)
    instances = semantic = None
    if "instance" in tasks:

        def strips(queries: np.ndarray, transposed: Grid, few: int, height: int) -> Iterator[Tile]:
            order = _these_first(queries, len(mask_logits))
            for tile in likelihood_tiles(mask_logits.transpose(0, 2, 1), order, transposed, few, height):
                yield tile._replace(values=tile.values[:, : len(queries)] / tile.total[:, None])

        confidence = config.pixel_confidence
        instances = instances_of_tiles(strips, probability, taxonomy, config.instances, at_original, confidence)
    if "semantic" in tasks:
        tiles = likelihood_tiles(mask_logits, np.arange(len(mask_logits)), at_original, config.chunk_rows)
        semantic = most_voted_classes(tiles, probability, at_original.size)
    return replace(canvas.to_prediction(), instances=instances, semantic=semantic)


def _mask_wise(mask_logits: np.ndarray, scores: QueryScores, grid: Grid, config: MaskMergeConfig) -> Canvas:
    candidates = np.flatnonzero(scores.passes)
    if candidates.size == 0:
        return Canvas.empty(grid.size)
    claims = _collect_claims(mask_logits, candidates, grid, config)
    mask_scores = claims.mean_probability
    if config.resize_order == "ids_last":
        mask_scores = _source_scores(mask_logits, candidates, config)
    return paste_in_order(claims, candidates, mask_scores, scores, config)


def _collect_claims(mask_logits: np.ndarray, candidates: np.ndarray, grid: Grid, config: MaskMergeConfig) -> Claims:
    count, width = candidates.size, grid.size[1]
    sole = np.full(grid.size, NOBODY, np.int16)
    areas, sums = np.zeros(count, np.int64), np.zeros(count, np.float64)
    contested_pixels, contested_claimants = [], []
    for tile in likelihood_tiles(mask_logits, _these_first(candidates, len(mask_logits)), grid, config.chunk_rows):
        claimed = tile.values[:, :count] > (tile.total * config.pixel_confidence)[:, None]
        row, claimant, column = np.unravel_index(np.flatnonzero(claimed), claimed.shape)
        share = tile.values[row, claimant, column] / tile.total[row, column]
        areas += np.bincount(claimant, minlength=count)
        sums += np.bincount(claimant, share, minlength=count)
        rows, columns = tile.total.shape
        pixel = row * columns + column
        single = np.bincount(pixel, minlength=rows * columns)[pixel] == 1
        sole[tile.top + row[single], tile.left + column[single]] = claimant[single]
        contested_pixels.append((tile.top + row[~single]) * width + tile.left + column[~single])
        contested_claimants.append(claimant[~single])
    pixels, claimants = np.concatenate(contested_pixels), np.concatenate(contested_claimants)
    return Claims(sole, pixels, claimants, areas, sums / np.maximum(areas, 1))


def _source_scores(mask_logits: np.ndarray, candidates: np.ndarray, config: MaskMergeConfig) -> np.ndarray:
    """(C,) float64: mean probability of each candidate over the pixels that it claims on the logits' own grid."""
    probability = softmax(at_least_float32(mask_logits), axis=0)[candidates].reshape(len(candidates), -1)
    claimed = probability > config.pixel_confidence
    sums = np.where(claimed, probability, 0).sum(axis=1, dtype=np.float64)
    return sums / np.maximum(claimed.sum(axis=1), 1)


def _pixel_wise(mask_logits: np.ndarray, scores: QueryScores, grid: Grid, config: MaskMergeConfig) -> Canvas:
    candidates = np.flatnonzero(scores.passes)
    count = candidates.size
    if count == 0:
        return Canvas.empty(grid.size)
    numbers = number_queries(candidates, scores)
    ids = np.zeros(grid.size, np.int32)
    areas, sums = np.zeros(count, np.int64), np.zeros(count, np.float64)
    for tile in likelihood_tiles(mask_logits, _these_first(candidates, len(mask_logits)), grid, config.chunk_rows):
        passing = tile.values[:, :count]
        total, best = passing.sum(axis=1), passing.max(axis=1)
        winner = first_of_best(passing, best)
        owned = (best >= tile.values.max(axis=1)) & (best > total * config.pixel_confidence)
        row, column = owned.nonzero()
        won = winner[row, column]
        ids[tile.top + row, tile.left + column] = numbers[0][won]
        areas += np.bincount(won, minlength=count)
        sums += np.bincount(won, best[row, column] / total[row, column], minlength=count)
    return canvas_of(ids, numbers, areas, sums, scores.probability[candidates])


def _these_first(queries: np.ndarray, count: int) -> np.ndarray:
    """(N,) order of all queries: ``queries``, then the others."""
    return np.concatenate([queries, np.setdiff1d(np.arange(count), queries)])


def _evidence(maps: Maps, placement: Placement, config: MaskMergeConfig, num_classes: int) -> Evidence:
    grid = original_grid(maps["mask_logits"].shape[-2:], placement, corners_aligned(placement))
    return evidence_of_masks(maps, grid, lambda logits: softmax(logits, axis=0))


_PAINTERS: dict[str, Callable[..., Canvas]] = {"mask_wise": _mask_wise, "pixel_wise": _pixel_wise}

register(MaskMergeConfig, predict_masks, _evidence)
