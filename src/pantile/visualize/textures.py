"""Patterns that scale with the image, so that they read the same in a thumbnail and at full size."""

import numpy as np


def hatching(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: diagonal lines, about sixty across the longer side."""
    period = _period(shape)
    height_axis, width_axis = np.ogrid[: shape[0], : shape[1]]
    return (height_axis + width_axis) % period < max(1, period // 6)


def dots(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: square dots on a lattice whose odd rows are shifted by half a step."""
    period = _period(shape)
    width = max(2, period // 4)
    height_axis, width_axis = np.ogrid[: shape[0], : shape[1]]
    shifted = width_axis + (height_axis // period % 2) * (period // 2)
    return (height_axis % period < width) & (shifted % period < width)


def _period(shape: tuple[int, int]) -> int:
    """Pixels from one line or dot to the next."""
    return max(6, max(shape) // 60)
