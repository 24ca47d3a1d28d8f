"""Mask-wise merging: whole masks are pasted in the order of their scores (CMT-DeepLab; kMaX-DeepLab).

A query claims the pixels where its softmax probability over all queries exceeds the pixel confidence. Claims of a
pixel sum to at most 1, so nearly every pixel has one claimant, and one small integer per pixel describes it. Only
contested pixels (two claimants, or more at low confidence) take part in the sequential pasting.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pantile.merge.likelihood import likelihood_tiles, these_first
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.resampling import Grid
from pantile.merge.scores import QueryScores
from pantile.merge.segments import Canvas, PastedSegment

NOBODY = -1


@dataclass(frozen=True)
class Claims:
    """Who claims which pixel. Candidates are numbered 0..C-1.

    Attributes:
        sole: (H, W) int16, the only claimant of a pixel, or -1.
        contested_pixels: (M,) int64, flat index of each pixel with several claimants, once per claimant.
        contested_claimants: (M,) int64.
        areas: (C,) int64, claimed pixels.
        mean_probability: (C,) float64, of a candidate over the pixels that it claims; 0 where there is none.
    """

    sole: np.ndarray
    contested_pixels: np.ndarray
    contested_claimants: np.ndarray
    areas: np.ndarray
    mean_probability: np.ndarray


def merge_mask_wise(mask_logits: Tensor, scores: QueryScores, grid: Grid, config: MaskMergeConfig) -> Canvas:
    """One image: mask logits (N, h, w) to a canvas of segments on the grid, before area limits."""
    candidates = np.flatnonzero(scores.passes)
    if candidates.size == 0:
        return Canvas.empty(grid.size)
    claims = collect_claims(mask_logits, candidates, grid, config)
    if config.resize_order == "logits_first":
        mask_scores = claims.mean_probability
    else:
        mask_scores = source_mask_scores(mask_logits, candidates, config)
    order_score = scores.probability[candidates] ** config.class_exponent * mask_scores**config.mask_exponent
    order = np.argsort(-order_score, kind="stable")
    return _paste(claims, candidates, mask_scores, order, scores, config)


def collect_claims(mask_logits: Tensor, candidates: np.ndarray, grid: Grid, config: MaskMergeConfig) -> Claims:
    """One pass over the grid. ``candidates`` (C,) are query numbers; the softmax is over all queries."""
    count = candidates.size
    sole = np.full(grid.size, NOBODY, np.int16)
    areas = np.zeros(count, np.int64)
    probability = np.zeros(count, np.float64)
    contested_pixels, contested_claimants = [], []
    width = grid.size[1]
    for tile in likelihood_tiles(mask_logits, these_first(candidates, mask_logits), grid, config.chunk_rows):
        claimed = tile.values[:, :count] > (tile.total * config.pixel_confidence).unsqueeze(1)
        row, claimant, column = _true_positions(claimed)
        share = (tile.values[row, claimant, column] / tile.total[row, column]).cpu().numpy()

        areas += np.bincount(claimant, minlength=count)
        probability += np.bincount(claimant, share, minlength=count)
        tile_rows, tile_columns = tile.total.shape
        pixel = row * tile_columns + column
        single = np.bincount(pixel, minlength=tile_rows * tile_columns)[pixel] == 1
        sole[tile.top + row[single], tile.left + column[single]] = claimant[single]
        contested_pixels.append((tile.top + row[~single]) * width + tile.left + column[~single])
        contested_claimants.append(claimant[~single])
    return Claims(
        sole,
        np.concatenate(contested_pixels),
        np.concatenate(contested_claimants),
        areas,
        probability / np.maximum(areas, 1),
    )


def source_mask_scores(mask_logits: Tensor, candidates: np.ndarray, config: MaskMergeConfig) -> np.ndarray:
    """(C,) float64: mean probability of each candidate over the pixels that it claims on the logits' own grid."""
    index = torch.from_numpy(candidates).to(mask_logits.device)
    areas, sums = np.zeros(candidates.size), np.zeros(candidates.size)
    for top in range(0, mask_logits.shape[1], config.chunk_rows):
        chunk = mask_logits[:, top : top + config.chunk_rows]
        probability = (chunk if chunk.dtype == torch.float64 else chunk.float()).softmax(dim=0)[index].flatten(1)
        claimed = probability > config.pixel_confidence
        areas += claimed.sum(dim=1).cpu().numpy()
        sums += (probability * claimed).sum(dim=1).cpu().numpy()
    return sums / np.maximum(areas, 1)


def _paste(
    claims: Claims,
    candidates: np.ndarray,
    mask_scores: np.ndarray,
    order: np.ndarray,
    scores: QueryScores,
    config: MaskMergeConfig,
) -> Canvas:
    """Accepts candidates in order; the canvas is only kept for contested pixels until the end."""
    by_claimant = np.argsort(claims.contested_claimants, kind="stable")
    bounds = np.searchsorted(claims.contested_claimants[by_claimant], np.arange(candidates.size + 1))
    pixels, position = np.unique(claims.contested_pixels[by_claimant], return_inverse=True)
    contested_ids = np.zeros(pixels.size, np.int32)

    segments: list[PastedSegment] = []
    id_of_stuff: dict[int, int] = {}
    id_of_candidate = np.zeros(candidates.size + 1, np.int32)  # the last entry is NOBODY's
    for candidate in order.tolist():
        mine = position[bounds[candidate] : bounds[candidate + 1]]
        mine_free = mine[contested_ids[mine] == 0]
        area = int(claims.areas[candidate])
        free = area - (mine.size - mine_free.size)
        if not free > config.overlap * area:
            continue
        query = int(candidates[candidate])
        class_index = int(scores.class_index[query])
        segment_id = id_of_stuff.get(class_index)
        if segment_id is None:
            segment_id = len(segments) + 1
            score = float(scores.probability[query] * mask_scores[candidate])
            segments.append(PastedSegment(class_index, score, query))
            if not scores.is_thing[query]:
                id_of_stuff[class_index] = segment_id
        id_of_candidate[candidate] = segment_id
        contested_ids[mine_free] = segment_id

    ids = id_of_candidate[claims.sole]
    ids.reshape(-1)[pixels] = contested_ids
    return Canvas(ids, segments)


def _true_positions(mask: Tensor) -> tuple[np.ndarray, ...]:
    """Indices of the true entries; NumPy finds sparse ones in host memory several times faster."""
    if mask.device.type == "cpu":
        flat = np.flatnonzero(mask.numpy())
    else:
        flat = mask.flatten().nonzero().flatten().cpu().numpy()
    return np.unravel_index(flat, mask.shape)
