"""Polygons whose points are pixels: what OpenCV's fillPoly paints, outline included."""

from collections.abc import Sequence

import numpy as np

Points = Sequence[tuple[int, int]]


def fill_with_outline(exterior: Points, interiors: Sequence[Points], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside, by the even-odd rule, and those that the outline runs through.

    Args:
        exterior: whole (x, y), the columns and rows of pixels; may lie outside of the image.
        interiors: holes; pixels on their outline are holes, too.
        size: (height, width).

    Returns:
        (H, W) bool.
    """
    mask = _fill(np.asarray(exterior), size)
    for hole in interiors:
        mask &= ~_fill(np.asarray(hole), size)
    return mask


def _fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    mask = np.zeros(size, dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        xs, ys = _line((x0, y0), (x1, y1))
        inside = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
        mask[ys[inside], xs[inside]] = True
        rows = np.arange(max(min(y0, y1), 0), min(max(y0, y1), height))
        if len(rows):
            columns = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0)).astype(int)
            np.add.at(crossings, (rows, columns.clip(0, width)), 1)
    return mask | (np.cumsum(crossings, axis=1)[:, :width] % 2 == 1)


def _line(first: Sequence[int], second: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of Bresenham's line, from its left end; halves stay on the side from which the line comes."""
    (x0, y0), (x1, y1) = sorted((first, second), key=lambda point: int(point[0]))
    wide, high = int(x1 - x0), int(abs(y1 - y0))
    long, short = max(wide, high, 1), min(wide, high)
    along = np.arange(max(wide, high) + 1)
    across = -((long - 2 * along * short) // (2 * long))  # ceil(along * short / long - 1 / 2)
    columns, rows = (along, across) if wide >= high else (across, along)
    return x0 + columns, y0 + (rows if y1 >= y0 else -rows)
