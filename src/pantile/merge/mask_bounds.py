"""How large and how small the resized logits of a tile can be, before anything is resized.

Resizing takes means of neighbouring logits with weights that are not negative, so no logit of a tile lies above the
greatest or below the least of those that reach it. What follows from that alone need not be computed pixel by pixel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pantile.merge.resampling import Grid, source_spans

#: how far float32 may carry a mean beyond the bounds, many times over: of values near 0, and relative to others
NEAR_ZERO, RELATIVE = 1e-3, 1e-3

#: rows and columns of pixels
Window = tuple[slice, slice]


@dataclass(frozen=True)
class TileBounds:
    """
    Attributes:
        least, greatest: (R, C, N) floating, of each of R x C tiles and N maps.
        tile: rows and columns of a tile.
    """

    least: Tensor
    greatest: Tensor
    tile: tuple[int, int]

    def place(self, window: Window) -> tuple[int, int]:
        """Which of R x C tiles begins where ``window`` does."""
        return window[0].start // self.tile[0], window[1].start // self.tile[1]


def tile_bounds(maps: Tensor, grid: Grid, tile_rows: int, tile_columns: int) -> TileBounds:
    """
    Args:
        maps: (N, h, w) floating.
        grid: from the maps to the image.
        tile_rows: R = ceil(H / tile_rows).
        tile_columns: C = ceil(W / tile_columns).
    """
    extremes = []
    for extreme in (torch.amin, torch.amax):
        strips = [extreme(maps[:, first:behind], dim=1) for first, behind in source_spans(grid.rows, tile_rows)]
        rows = torch.stack(strips)  # (R, N, w)
        columns = source_spans(grid.columns, tile_columns)
        extremes.append(torch.stack([extreme(rows[..., first:behind], dim=2) for first, behind in columns], dim=1))
    return TileBounds(*extremes, tile=(tile_rows, tile_columns))
