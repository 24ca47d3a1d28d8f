"""Whole columns of masks, from tiles of their probabilities: what run lengths, which go down the columns, are made of.

A mask lies in few tiles, and bounds of its logits say in which it may, so the others are never computed.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from pantile.merge.instance_masks import MaskStrip
from pantile.merge.mask_bounds import Window, tile_bounds
from pantile.merge.mask_tiles import MaskTile, sigmoid_tiles
from pantile.merge.resampling import Grid

TILE_ROWS = 128  # of the image, so columns of a transposed tile


def sigmoid_strips(mask_logits: Tensor, grid: Grid, columns: int) -> Iterator[MaskStrip]:
    """Masks where the sigmoid of resized logits exceeds 0.5, from left to right.

    Args:
        mask_logits: (Q, h, w) floating.
        grid: from the logits to the image.
        columns: of a strip.
    """
    bounds = tile_bounds(mask_logits, grid, TILE_ROWS, columns)
    # A mean of logits that are not positive is not, and the sigmoid of such a one does not exceed 0.5; NaN stays.
    possible = ~(bounds.greatest <= 0).cpu().numpy()

    def queries_in(window: Window) -> Tensor:
        return indices(possible[bounds.place(window[::-1])], mask_logits)

    tiles = sigmoid_tiles(mask_logits.transpose(1, 2), grid.transposed, columns, TILE_ROWS, queries_in)
    return strips_of(tiles, len(mask_logits), grid.size, columns, 0.5)


def indices(flags: np.ndarray, like: Tensor) -> Tensor:
    """(N,) bool to the (n,) int64 places of what is true, on the device of ``like``."""
    return torch.from_numpy(np.flatnonzero(flags)).to(like.device)


def strips_of(
    tiles: Iterable[MaskTile], masks: int, size: tuple[int, int], columns: int, threshold: float
) -> Iterator[MaskStrip]:
    """Every strip of the image, also where no mask has a pixel.

    Args:
        tiles: of a transposed grid, in their order; a mask has no pixel where it has no tile.
        masks: Q.
        size: (H, W) of the image.
        columns: of a strip.
        threshold: a pixel is inside where the probability is greater.
    """
    height, width = size
    rows_of_tiles = groupby(tiles, key=lambda tile: tile.top)
    top, row = next(rows_of_tiles, (None, ()))
    for left in range(0, width, columns):
        inside, sums = np.zeros((masks, min(columns, width - left), height), bool), np.zeros(masks)
        here = np.zeros(masks, bool)
        if top == left:
            for tile in row:
                of_masks = slice(None) if tile.queries is None else tile.queries.cpu().numpy()
                pixels = tile.probability > threshold
                inside[of_masks, :, tile.left : tile.left + pixels.shape[2]] = pixels.transpose(0, 1).cpu().numpy()
                # float32 above a threshold, added up in float64: exact, so tiles may be of any size
                sums[of_masks] += (tile.probability * pixels).sum(dim=(0, 2), dtype=torch.float64).cpu().numpy()
                here[of_masks] = True
            top, row = next(rows_of_tiles, (None, ()))
        which = np.flatnonzero(here)
        yield MaskStrip(left, which, inside[which].reshape(len(which), inside.shape[1] * height), sums[which])
