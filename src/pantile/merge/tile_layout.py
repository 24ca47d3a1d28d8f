"""Where the tiles of a large image lie: windows of one size, evenly spread, that overlap by at least so much."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Window(NamedTuple):
    """A rectangle of pixels; ``bottom`` and ``right`` lie just outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: "Window") -> "Window":
        """The same rectangle, counted from the corner of another."""
        return Window(self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left)

    def common(self, other: "Window") -> "Window | None":
        """The rectangle that both share, if there is one."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom, right) if top < bottom and left < right else None

    def chunks(self, height: int, width: int) -> Iterator["Window"]:
        """Rectangles of at most ``height`` x ``width`` that fill this one, row by row."""
        for top in range(self.top, self.bottom, height):
            for left in range(self.left, self.right, width):
                yield Window(top, left, min(top + height, self.bottom), min(left + width, self.right))


class Cell(NamedTuple):
    """A rectangle that the same tiles see from corner to corner.

    Attributes:
        window: in pixels of the image.
        tiles: indices into ``TileLayout.windows``, ascending, at least one.
    """

    window: Window
    tiles: tuple[int, ...]


@dataclass(frozen=True)
class TileLayout:
    """Tiles of an image: every row of tiles has the same columns.

    Attributes:
        size: (height, width) of the image.
        rows: (top, bottom) of each row of tiles, ascending; together they cover the height.
        columns: (left, right) of each column of tiles, ascending.
    """

    size: tuple[int, int]
    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The tiles, row by row from the top left."""
        return tuple(Window(top, left, bottom, right) for top, bottom in self.rows for left, right in self.columns)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The image, divided at every border of a tile."""
        return tuple(
            Cell(Window(top, left, bottom, right), tuple(r * len(self.columns) + c for r in rows for c in columns))
            for top, bottom, rows in _divided(self.rows)
            for left, right, columns in _divided(self.columns)
        )


def lay_tiles(size: tuple[int, int], tile: tuple[int, int], overlap: tuple[int, int]) -> TileLayout:
    """As few tiles as cover the image, evenly spread, so that they overlap by more where the numbers do not fit.

    Args:
        size: (height, width) of the image.
        tile: (height, width) of every tile; along an axis where the image is not larger, there is one tile of the
            image's length.
        overlap: (y, x), the least number of pixels that neighbours share; 0 up to one less than the tile.
    """
    rows, columns = (_spans(*axis) for axis in zip(size, tile, overlap, strict=True))
    return TileLayout(size, rows, columns)


def lay_windows(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> TileLayout:
    """Windows at 0, stride, 2 * stride, ... before the last, which ends where the image ends.

    The rule of the original Segmenter and of mmseg. ``lay_tiles`` spreads its tiles evenly instead.

    Args:
        size: (height, width) of the image.
        window: (height, width) of every window; along an axis where the image is not larger, there is one of the
            image's length.
        stride: (y, x) from one window to the next, 1 up to the window.
    """
    rows, columns = (_strides(*axis) for axis in zip(size, window, stride, strict=True))
    return TileLayout(size, rows, columns)


def _strides(length: int, window: int, stride: int) -> tuple[tuple[int, int], ...]:
    if length <= window:
        return ((0, length),)
    return tuple((start, start + window) for start in (*range(0, length - window, stride), length - window))


def _spans(length: int, tile: int, overlap: int) -> tuple[tuple[int, int], ...]:
    if length <= tile:
        return ((0, length),)
    count = -(-(length - overlap) // (tile - overlap))
    starts = (i * (length - tile) // (count - 1) for i in range(count))
    return tuple((start, start + tile) for start in starts)


def _divided(spans: tuple[tuple[int, int], ...]) -> list[tuple[int, int, list[int]]]:
    """(start, end, the spans that cover it) between neighbouring ends of spans."""
    ends = sorted({end for span in spans for end in span})
    return [
        (start, end, [number for number, (first, behind) in enumerate(spans) if first <= start and end <= behind])
        for start, end in itertools.pairwise(ends)
    ]
