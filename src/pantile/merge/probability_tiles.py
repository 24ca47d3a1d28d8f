"""Maps of probabilities at the size of the image, one tile at a time, anywhere in it.

Resizing takes means of neighbouring probabilities with weights that are not negative. So no pixel has a greater
probability than all entries of the map that reach it, and a mask above a threshold lies within a box that is known
before anything is resized.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from pantile.merge.resampling import Grid

#: rows and columns of a tile: of many maps it stays in a core's cache, of one it is worth the call
_CPU_TILE = (64, 128)
_CPU_TILE_OF_ONE = (256, 512)
_DEVICE_TILE = (256, 2048)


class Box(NamedTuple):
    """Rows top..bottom-1 and columns left..right-1 of the image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.bottom - self.top, self.right - self.left


class Axis:
    """One axis of a grid.

    Args:
        weights: (n, m) from m entries to n pixels, not negative; entries and pixels in the same order.
        like: gives the device and dtype of the work.
    """

    def __init__(self, weights: Tensor, like: Tensor) -> None:
        used = (weights != 0).numpy()
        self.weights = weights.to(like.device, like.dtype)
        self.first = used.argmax(axis=1)  # (n,) entry that reaches each pixel
        self.last = used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)

    def __len__(self) -> int:
        return len(self.first)

    def part(self, start: int, stop: int) -> tuple[Tensor, slice]:
        """Weights of some pixels, and the entries that these are for."""
        entries = slice(int(self.first[start:stop].min()), int(self.last[start:stop].max()) + 1)
        return self.weights[start:stop, entries], entries

    def reached_from(self, entries: np.ndarray) -> tuple[int, int]:
        """Start and stop of the pixels that see an entry between the first and last of some, ascending."""
        start = int(np.searchsorted(self.last, entries[0], side="left"))
        return start, int(np.searchsorted(self.first, entries[-1], side="right"))


class ProbabilityTiles:
    """The way of maps to the image.

    Args:
        grid: from the maps to the image.
        like: gives the device and dtype of the work.
    """

    def __init__(self, grid: Grid, like: Tensor) -> None:
        self.size = grid.size
        self.rows, self.columns = Axis(grid.rows, like), Axis(grid.columns, like)

    @property
    def whole(self) -> Box:
        return Box(0, self.size[0], 0, self.size[1])

    def box_of(self, inside: Tensor) -> Box | None:
        """Where pixels may see an entry (h, w) bool that is True; None if they cannot."""
        rows, columns = (np.flatnonzero(inside.any(dim=axis).cpu().numpy()) for axis in (1, 0))
        if rows.size == 0:
            return None
        box = Box(*self.rows.reached_from(rows), *self.columns.reached_from(columns))
        return None if 0 in box.size else box

    def tiles(self, maps: Tensor, box: Box) -> Iterator[tuple[Box, Tensor]]:
        """Tiles of the image and their probabilities.

        Args:
            maps: (C, h, w) on the device and of the dtype of the work.
            box: what to cover.

        Yields:
            Where a tile lies, and (r, C, c).
        """
        maps = maps.transpose(0, 1)  # then each axis is one product of matrices
        row_step, column_step = _DEVICE_TILE
        if maps.device.type == "cpu":
            row_step, column_step = _CPU_TILE_OF_ONE if len(maps) == 1 else _CPU_TILE
        for top in range(box.top, box.bottom, row_step):
            bottom = min(top + row_step, box.bottom)
            rows, row_entries = self.rows.part(top, bottom)
            strip = maps[row_entries].contiguous()
            for left in range(box.left, box.right, column_step):
                right = min(left + column_step, box.right)
                columns, column_entries = self.columns.part(left, right)
                wide = strip[:, :, column_entries] @ columns.T
                yield Box(top, bottom, left, right), (rows @ wide.flatten(1)).unflatten(1, wide.shape[1:])

    def mask(self, probability: Tensor, threshold: float, box: Box) -> np.ndarray:
        """(h, w) to (r, c) bool in a box: where the probability at the image's size is greater."""
        mask = np.empty(box.size, bool)
        for tile, values in self.tiles(probability[None], box):
            rows, columns = tile.slices
            within = (
                slice(rows.start - box.top, rows.stop - box.top),
                slice(columns.start - box.left, columns.stop - box.left),
            )
            mask[within] = (values[:, 0] > threshold).cpu().numpy()
        return mask


def encode_in_box(mask: np.ndarray, box: Box, size: tuple[int, int]) -> list[int]:
    """The uncompressed COCO run lengths of a mask that is empty outside a box.

    Args:
        mask: (r, c) bool with at least one True.
        box: where it lies.
        size: (H, W) of the image.
    """
    height, width = size
    columns = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    columns[:, 1:-1] = mask.T
    change = np.diff(columns, axis=1)
    ends = [(box.left + x) * height + box.top + y for x, y in ((change == 1).nonzero(), (change == -1).nonzero())]
    start, stop = ends
    goes_on = stop[:-1] == start[1:]  # from the bottom of one column to the top of the next
    start, stop = start[np.concatenate([[True], ~goes_on])], stop[np.concatenate([~goes_on, [True]])]
    runs = np.diff(np.stack([start, stop], axis=1).reshape(-1), prepend=0, append=height * width)
    return (runs if runs[-1] else runs[:-1]).tolist()
