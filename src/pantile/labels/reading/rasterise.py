"""Polygons and run lengths to masks, as pycocotools draws them. Input is checked here, because its C code does not."""

import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from pantile.contracts.errors import UserError
from pantile.labels.reading.outlines import CENTRES, EDGES, pixels_on

MIN_POINTS = 3
MAX_BEYOND = 4  # a polygon may lie this many image sizes outside; what lies farther is no slip of the hand
OUTSIDE = "outside of the image"
NO_PIXEL = "covers no pixel"
TOO_FEW_POINTS = "polygon with fewer than three points"


def polygons_to_mask(
    polygons: Sequence[Sequence[tuple[float, float]]], size: tuple[int, int], where: str, outline: str = EDGES
) -> dict:
    """The union of polygons, in COCO's rasterisation.

    Args:
        polygons: points (x, y) in pixels, at least three each. Along edges, the origin is the outer corner of the top
            left pixel; through centres, it is that pixel's centre, and what an outline passes belongs to the object.
        size: (height, width).
        where: for messages.
        outline: one of ``outlines.OUTLINES``.

    Returns:
        Compressed run lengths; they may cover no pixel.

    Raises:
        UserError: a coordinate that is absurdly far away.
    """
    height, width = size
    reach = MAX_BEYOND * max(height, width)
    for points in polygons:
        for x, y in points:
            if not (-reach <= x <= width + reach and -reach <= y <= height + reach):
                raise UserError(
                    f"{where} has the point ({x:g}, {y:g}), far outside of the {width}x{height} image: correct it."
                )
    shift = 0.5 if outline == CENTRES else 0.0
    flat = [[value + shift for point in points for value in point] for points in polygons]
    masks = coco_mask.frPyObjects(flat, height, width)
    if outline == CENTRES:
        masks = [*masks, mask_to_rle(_outermost(polygons, size))]
    return coco_mask.merge(masks)


def _outermost(polygons: Sequence[Sequence[tuple[float, float]]], size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels whose centres the outlines pass."""
    mask = np.zeros(size, dtype=bool)
    columns, rows = np.array([pixel for points in polygons for pixel in pixels_on(points)]).T
    inside = (columns >= 0) & (columns < size[1]) & (rows >= 0) & (rows < size[0])
    mask[rows[inside], columns[inside]] = True
    return mask


def mask_to_rle(mask: np.ndarray) -> dict:
    """(H, W) bool to compressed run lengths."""
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def covered_pixels(rle: dict) -> np.ndarray:
    """Pixels of run lengths made here, as positions down the columns: ``x * height + y``. Ascending, (area,) int64.

    The work grows with the mask's area, not with the image's.
    """
    counts = decode_counts(rle["counts"].decode("ascii"), "a mask")
    starts, lengths = np.cumsum(counts)[: len(counts) // 2 * 2 : 2], counts[1::2]
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def area(rle: dict) -> int:
    return int(coco_mask.area(rle))


def union(rles: Sequence[dict]) -> dict:
    return coco_mask.merge(list(rles))


def why_empty(polygons: Sequence[Sequence[tuple[float, float]]], size: tuple[int, int]) -> str:
    """The reason to report for polygons that cover no pixel."""
    height, width = size
    points = [point for polygon in polygons for point in polygon]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    outside = max(xs) <= 0 or max(ys) <= 0 or min(xs) >= width or min(ys) >= height
    return OUTSIDE if outside else NO_PIXEL


def counts_to_rle(counts: Sequence[int] | np.ndarray, size: tuple[int, int], where: str) -> dict:
    """COCO's uncompressed run lengths, down the columns, background first.

    Raises:
        UserError: a negative run, or runs that do not add up to the image.
    """
    height, width = size
    counts = np.asarray(counts, dtype=np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise UserError(
            f"{where} has run lengths that add up to {counts.sum()}, not to the {height * width} pixels of the "
            f"{width}x{height} image, or negative ones: write the mask anew."
        )
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)


def decode_counts(text: str, where: str) -> np.ndarray:
    """COCO's compressed run lengths to counts.

    Five bits a character, least significant first, offset 48, bit 5 set where the number goes on, bit 4 of its last
    character its sign; from the fourth number on, the difference to the number two before it.

    Raises:
        UserError: the text is not in this code.
    """
    codes = np.frombuffer(text.encode("ascii", errors="replace"), dtype=np.uint8).astype(np.int64) - 48
    ends = (codes & 32) == 0
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not ends[-1]:
        raise UserError(f"{where} has compressed run lengths that are cut short or garbled: write the mask anew.")
    starts = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    lengths = np.flatnonzero(ends) + 1 - starts
    if lengths.max() > 8:
        raise UserError(f"{where} has compressed run lengths that are garbled: write the mask anew.")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = (codes[ends] & 16) != 0
    numbers = numbers - (negative.astype(np.int64) << (5 * lengths))
    counts = numbers.copy()
    counts[1::2] = np.cumsum(numbers[1::2])  # the second number stands alone, later odd ones add to it
    counts[2::2] = np.cumsum(numbers[2::2])
    return counts


def box_polygon(
    left: float, top: float, right: float, bottom: float, degrees: float = 0.0
) -> list[tuple[float, float]]:
    """The corners of a box, turned clockwise about its centre."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return turned_about(((left + right) / 2, (top + bottom) / 2), corners, degrees)


def turned_about(
    centre: tuple[float, float], points: Sequence[tuple[float, float]], degrees: float
) -> list[tuple[float, float]]:
    """Points turned clockwise about a centre."""
    cx, cy = centre
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos) for x, y in points]


def ellipse_polygon(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> list[tuple[float, float]]:
    """Points on an ellipse, about one per pixel of its outline, turned clockwise about its centre."""
    n = min(max(16, math.ceil(7 * max(rx, ry))), 2000)
    turn = math.radians(degrees)
    points = []
    for k in range(n):
        x, y = rx * math.cos(2 * math.pi * k / n), ry * math.sin(2 * math.pi * k / n)
        points.append((cx + x * math.cos(turn) - y * math.sin(turn), cy + x * math.sin(turn) + y * math.cos(turn)))
    return points
