"""Where a segment lies in its image, and a line around it."""

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from pantile.visualize.panels import resize

_CONTEXT = 0.25  # of the longer side of what is shown, on each side
_SMALLEST_CROP = 32  # pixels of the image


def window_of(wanted: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of (H, W) bool with context around what is True."""
    longest = max(axis.stop - axis.start for axis in box_of(wanted, margin=0))
    return box_of(wanted, max(round(_CONTEXT * longest), (_SMALLEST_CROP - longest) // 2))


def box_of(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the pixels of (H, W) bool, at least one, and ``margin`` around them."""
    limits = []
    for axis, length in zip((1, 0), mask.shape, strict=True):
        inside = np.flatnonzero(mask.any(axis=axis))
        limits.append(slice(max(0, int(inside[0]) - margin), min(length, int(inside[-1]) + 1 + margin)))
    return limits[0], limits[1]


def scaled(crop: np.ndarray, longer_side: int) -> np.ndarray:
    """The crop with about so many pixels on its longer side."""
    factor = longer_side / max(crop.shape[:2])
    return resize(np.ascontiguousarray(crop), max(1, round(crop.shape[0] * factor)))


def outline(picture: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], width: int) -> np.ndarray:
    """A line along the inside of (H, W) bool, with a thin dark one around it that sets it off from any background."""
    drawn = picture.copy()
    if mask.any():
        box = box_of(mask, margin=1)
        own, inside = drawn[box], mask[box]
        line = inside & ~binary_erosion(inside, iterations=width, border_value=True)
        own[binary_dilation(inside) & ~inside] = (20, 20, 24)
        own[line] = color
    return drawn
