"""The softmax over queries at every pixel of a grid, one tile at a time, so that it never exists as a whole."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pantile.merge.mask_bounds import Window
from pantile.merge.resampling import Grid, source_spans

_CPU_TILE_COLUMNS = 128  # a tile of 32 x 128 pixels and 128 queries is 2 MiB: it stays in a core's cache
_SMALLEST_SUM = 1e-25  # float32 sums of exponentials below this have lost their small terms


class Tile(NamedTuple):
    """A rectangle of the grid.

    Attributes:
        top, left: position of its first pixel.
        values: (r, N, c) for r rows and c columns: exp(logit) of each query, up to a factor per pixel.
        total: (r, c), their sum over all queries; ``values / total`` is the softmax.
    """

    top: int
    left: int
    values: Tensor
    total: Tensor


def likelihood_tiles(
    mask_logits: Tensor,
    query_order: Tensor,
    grid: Grid,
    chunk_rows: int,
    tile_columns: int | None = None,
    wanted: Callable[[Window], bool] | None = None,
) -> Iterator[Tile]:
    """Resizes mask logits to the grid and takes their exponentials, tile by tile.

    The largest logit of each source pixel is subtracted before resizing. That changes all queries of a pixel alike,
    so softmax does not see it, and it makes the search for a maximum at full resolution unnecessary.

    Args:
        mask_logits: (N, h, w) floating.
        query_order: (N,) int64; ``Tile.values[:, i]`` belongs to query ``query_order[i]``.
        grid: rows and columns in float64; work is done in float64 for float64 logits, otherwise in float32.
        chunk_rows: rows of a tile.
        tile_columns: columns of a tile; by default few on a CPU, whose caches are small, and all elsewhere.
        wanted: which tiles; None for all.
    """
    dtype = torch.float64 if mask_logits.dtype == torch.float64 else torch.float32
    peak = mask_logits.amax(dim=0).to(dtype)
    for part in _parts(mask_logits, grid, chunk_rows, tile_columns):
        if wanted is not None and not wanted(part.window):
            continue
        source = mask_logits[:, *part.source].index_select(0, query_order).to(dtype) - peak[part.source]
        source = source.transpose(0, 1).contiguous()  # (rows of the window, N, columns of the window)
        values = _resize(source, part.rows, part.columns).exp_()
        total = values.sum(dim=1)
        if total.min() < _SMALLEST_SUM:
            logits = _resize(source, part.rows, part.columns)
            values = logits.sub_(logits.amax(dim=1, keepdim=True)).exp_()
            total = values.sum(dim=1)
        yield Tile(part.top, part.left, values, total)


def share_tiles(
    logits: Tensor, order: Tensor, grid: Grid, chunk_rows: int, tile_columns: int | None = None
) -> Iterator[Tile]:
    """As ``likelihood_tiles``, but what is resized is the softmax over ``order``, not the logits."""
    shares = logits.index_select(0, order)
    shares = (shares if logits.dtype == torch.float64 else shares.float()).softmax(dim=0)
    for part in _parts(shares, grid, chunk_rows, tile_columns):
        source = shares[:, *part.source].transpose(0, 1).contiguous()
        values = _resize(source, part.rows, part.columns)
        yield Tile(part.top, part.left, values, values.sum(dim=1))


class _Part(NamedTuple):
    """A tile of the grid and where it comes from.

    Attributes:
        top, left: of the tile.
        source: rows and columns of the source.
        rows: (r, y) weights of those rows.
        columns: (c, x) weights of those columns.
    """

    top: int
    left: int
    source: tuple[slice, slice]
    rows: Tensor
    columns: Tensor

    @property
    def window(self) -> Window:
        bottom, right = self.top + len(self.rows), self.left + len(self.columns)
        return slice(self.top, bottom), slice(self.left, right)


def _parts(maps: Tensor, grid: Grid, chunk_rows: int, tile_columns: int | None) -> Iterator[_Part]:
    """The grid's tiles, row by row, with weights in the working precision on the device of ``maps``."""
    dtype = torch.float64 if maps.dtype == torch.float64 else torch.float32
    device = maps.device
    height, width = grid.size
    if tile_columns is None:
        tile_columns = _CPU_TILE_COLUMNS if device.type == "cpu" else width
    row_weights, column_weights = grid.rows.to(device, dtype), grid.columns.to(device, dtype)
    row_spans = source_spans(grid.rows, chunk_rows)
    column_spans = source_spans(grid.columns, tile_columns)
    for top, (row_from, row_to) in zip(range(0, height, chunk_rows), row_spans, strict=True):
        rows = row_weights[top : top + chunk_rows, row_from:row_to]
        for left, (column_from, column_to) in zip(range(0, width, tile_columns), column_spans, strict=True):
            columns = column_weights[left : left + tile_columns, column_from:column_to]
            yield _Part(top, left, (slice(row_from, row_to), slice(column_from, column_to)), rows, columns)


def these_first(queries: np.ndarray, mask_logits: Tensor) -> Tensor:
    """(N,) int64 order of all queries on the logits' device: ``queries`` (C,) int64, then the others."""
    others = np.setdiff1d(np.arange(mask_logits.shape[0]), queries)
    return torch.from_numpy(np.concatenate([queries, others])).to(mask_logits.device)


def _resize(source: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(y, N, x), (r, y), (c, x) -> (r, N, c)"""
    wide = source @ columns.T
    return (rows @ wide.flatten(1)).view(rows.shape[0], *wide.shape[1:])
