"""Mask-wise merging: whole masks are pasted in the order of their scores (CMT-DeepLab; kMaX-DeepLab).

A query claims the pixels where its softmax probability over all queries exceeds the pixel confidence. Claims of a
pixel sum to at most 1, so nearly every pixel has one claimant, and one small integer per pixel describes it. Only
contested pixels (two claimants, or more at low confidence) take part in the sequential pasting.
"""

import numpy as np
import torch
from torch import Tensor

from pantile.merge.likelihood import likelihood_tiles, these_first
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.pasting import NOBODY, Claims, paste_in_order
from pantile.merge.query_scores import QueryScores
from pantile.merge.resampling import Grid
from pantile.merge.segments import Canvas


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
    return paste_in_order(claims, candidates, mask_scores, scores, config)


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


def _true_positions(mask: Tensor) -> tuple[np.ndarray, ...]:
    """Indices of the true entries; NumPy finds sparse ones in host memory several times faster."""
    if mask.device.type == "cpu":
        flat = np.flatnonzero(mask.numpy())
    else:
        flat = mask.flatten().nonzero().flatten().cpu().numpy()
    return np.unravel_index(flat, mask.shape)
