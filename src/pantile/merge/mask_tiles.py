"""Independent mask probabilities of every query at every pixel of a grid, one tile at a time."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pantile.merge.mask_bounds import Window
from pantile.merge.resampling import Grid, source_spans


class MaskTile(NamedTuple):
    """A rectangle of the grid.

    Attributes:
        top, left: position of its first pixel.
        probability: (r, n, c) 0..1 for r rows and c columns.
        queries: (n,) int64, ascending, which queries these are; None for all N.
    """

    top: int
    left: int
    probability: Tensor
    queries: Tensor | None = None

    @property
    def window(self) -> Window:
        rows, _, columns = self.probability.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


def sigmoid_tiles(
    mask_logits: Tensor,
    grid: Grid,
    tile_rows: int,
    tile_columns: int,
    queries_in: Callable[[Window], Tensor | None] | None = None,
) -> Iterator[MaskTile]:
    """Resizes mask logits to the grid and takes their sigmoid, tile by tile, row of tiles by row of tiles.

    Args:
        mask_logits: (N, h, w) floating.
        grid: rows and columns in float64; work is done in float64 for float64 logits, otherwise in float32.
        tile_rows: r; the last tiles may be smaller.
        tile_columns: c.
        queries_in: which queries a tile is wanted of, (n,) int64 on the device of the logits, or None for all; a tile
            that is wanted of none is left out.
    """
    dtype = torch.float64 if mask_logits.dtype == torch.float64 else torch.float32
    height, width = grid.size
    row_weights, column_weights = (axis.to(mask_logits.device, dtype) for axis in (grid.rows, grid.columns))
    row_spans, column_spans = source_spans(grid.rows, tile_rows), source_spans(grid.columns, tile_columns)
    for top, (row_from, row_to) in zip(range(0, height, tile_rows), row_spans, strict=True):
        rows = row_weights[top : top + tile_rows, row_from:row_to]
        strip = mask_logits[:, row_from:row_to].to(dtype).transpose(0, 1)  # (rows of the window, N, w)
        for left, (column_from, column_to) in zip(range(0, width, tile_columns), column_spans, strict=True):
            columns = column_weights[left : left + tile_columns, column_from:column_to]
            window = slice(top, top + len(rows)), slice(left, left + len(columns))
            queries = None if queries_in is None else queries_in(window)
            source = strip[:, :, column_from:column_to]
            if queries is not None:
                if len(queries) == 0:
                    continue
                source = source.index_select(1, queries)
            wide = source @ columns.T
            logits = (rows @ wide.flatten(1)).view(rows.shape[0], *wide.shape[1:])
            yield MaskTile(top, left, logits.sigmoid_(), queries)
