"""Pixel-wise merging: each pixel goes to its most likely query, if that one is confident enough (MaX-DeepLab)."""

import numpy as np
import torch
from torch import Tensor

from pantile.merge.likelihood import likelihood_tiles
from pantile.merge.mask_config import MaskMergeConfig
from pantile.merge.query_numbers import canvas_of, number_queries
from pantile.merge.query_scores import QueryScores
from pantile.merge.resampling import Grid
from pantile.merge.segments import Canvas


def merge_pixel_wise(mask_logits: Tensor, scores: QueryScores, grid: Grid, config: MaskMergeConfig) -> Canvas:
    """One image: mask logits (N, h, w) to a canvas of segments on the grid, before area limits.

    Queries that fail the class threshold leave the softmax. A pixel is void unless its best remaining query exceeds
    the pixel confidence there and no failed query has a larger logit. Segments come in the order of their queries; a
    segment's score is the mean of class score times probability over its pixels.
    """
    candidates = np.flatnonzero(scores.passes)
    count = candidates.size
    if count == 0:
        return Canvas.empty(grid.size)
    failed = np.flatnonzero(~scores.passes)
    query_order = torch.from_numpy(np.concatenate([candidates, failed])).to(mask_logits.device)

    numbers = number_queries(candidates, scores)
    ids = np.zeros(grid.size, np.int32)
    areas = np.zeros(count, np.int64)
    probability = np.zeros(count, np.float64)
    for tile in likelihood_tiles(mask_logits, query_order, grid, config.chunk_rows):
        passing = tile.values[:, :count]
        total = passing.sum(dim=1)
        best, winner = passing.max(dim=1)
        owned = (best >= tile.values.amax(dim=1)) & (best > total * config.pixel_confidence)
        row, column = owned.nonzero(as_tuple=True)
        share = (best / total)[row, column].cpu().numpy()
        winner = winner[row, column].cpu().numpy()
        ids[tile.top + row.cpu().numpy(), tile.left + column.cpu().numpy()] = numbers[0][winner]
        areas += np.bincount(winner, minlength=count)
        probability += np.bincount(winner, share, minlength=count)

    return canvas_of(ids, numbers, areas, probability, scores.probability[candidates])
