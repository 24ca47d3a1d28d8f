"""Maps at the size of the image, one tile at a time, so that they never exist as a whole: ``merge.likelihood``."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pantile.runtime.grids import Grid, spans

TILE_COLUMNS = 128  # a tile of 32 x 128 pixels and 128 queries is 2 MiB: it stays in a core's cache
_SMALLEST_SUM = 1e-25  # float32 sums of exponentials below this have lost their small terms


class Tile(NamedTuple):
    """A rectangle of the grid.

    Attributes:
        top, left: position of its first pixel.
        values: (r, N, c) for r rows and c columns.
        total: (r, c), the sum over all N.
    """

    top: int
    left: int
    values: np.ndarray
    total: np.ndarray

    @property
    def slices(self) -> tuple[slice, slice]:
        rows, columns = self.total.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


def at_least_float32(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.float64 else values.astype(np.float32, copy=False)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of any size without an overflow."""
    half = np.tanh(logits * np.asarray(0.5, logits.dtype))
    return (half + 1) * np.asarray(0.5, logits.dtype)


def softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shares / shares.sum(axis=axis, keepdims=True)


def likelihood_tiles(
    logits: np.ndarray, order: np.ndarray, grid: Grid, rows: int, columns: int = TILE_COLUMNS
) -> Iterator[Tile]:
    """exp(resized logit) up to a factor per pixel, of (N, h, w); ``values[:, i]`` belongs to map ``order[i]``.

    ``values / total`` is the softmax. The largest logit of each source pixel is subtracted before resizing, which a
    softmax does not see.
    """
    logits = at_least_float32(logits)
    source = logits[order] - logits.max(axis=0)
    for top, left, resized in resized_tiles(source, grid, rows, columns):
        values = np.exp(resized)
        total = values.sum(axis=1)
        if total.min() < _SMALLEST_SUM:
            values = np.exp(resized - resized.max(axis=1, keepdims=True))
            total = values.sum(axis=1)
        yield Tile(top, left, values, total)


def share_tiles(logits: np.ndarray, order: np.ndarray, grid: Grid, rows: int) -> Iterator[Tile]:
    """As ``likelihood_tiles``, but what is resized is the softmax over ``order``, not the logits."""
    shares = softmax(at_least_float32(logits)[order], axis=0)
    for top, left, values in resized_tiles(shares, grid, rows, TILE_COLUMNS):
        yield Tile(top, left, values, values.sum(axis=1))


def sigmoid_tiles(logits: np.ndarray, grid: Grid, rows: int, columns: int = TILE_COLUMNS) -> Iterator[Tile]:
    """The sigmoid of resized logits (N, h, w)."""
    for top, left, resized in resized_tiles(at_least_float32(logits), grid, rows, columns):
        values = sigmoid(resized)
        yield Tile(top, left, values, values.sum(axis=1))


def resized_tiles(
    maps: np.ndarray, grid: Grid, tile_rows: int, tile_columns: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Top, left and (r, N, c) of each tile, row by row; (N, h, w) float32 or float64, in which the work is done."""
    height, width = grid.size
    by_row = np.ascontiguousarray(maps.transpose(1, 0, 2))
    row_weights, column_weights = grid.rows.astype(maps.dtype), grid.columns.astype(maps.dtype)
    row_spans, column_spans = spans(grid.rows, tile_rows), spans(grid.columns, tile_columns)
    for top, (y, y_end) in zip(range(0, height, tile_rows), row_spans, strict=True):
        rows, strip = row_weights[top : top + tile_rows, y:y_end], by_row[y:y_end]
        for left, (x, x_end) in zip(range(0, width, tile_columns), column_spans, strict=True):
            columns = column_weights[left : left + tile_columns, x:x_end]
            wide = strip[:, :, x:x_end] @ columns.T
            resized = rows @ wide.reshape(len(wide), -1)
            yield top, left, resized.reshape(len(rows), *wide.shape[1:])


def first_of_best(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """(r, N, c) and their maxima (r, c) to the (r, c) int32 index of the first maximum; faster than ``argmax``."""
    winner = np.zeros(best.shape, np.int32)
    for index in range(values.shape[1] - 1, -1, -1):
        winner[values[:, index] == best] = index
    return winner
