"""From a grid of logits to the image with numpy, a matrix for rows and one for columns: ``merge.resampling``."""

from dataclasses import dataclass

import numpy as np

from pantile.contracts.placement import Placement
from pantile.merge.nearest_pixels import corners_aligned


@dataclass(frozen=True)
class Grid:
    """Where decisions are made, and how logits get there.

    Attributes:
        rows: (H, h) float64 weights of the logits' rows.
        columns: (W, w) the same for columns.
    """

    rows: np.ndarray
    columns: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)"""
        return self.rows.shape[0], self.columns.shape[0]

    @property
    def transposed(self) -> "Grid":
        return Grid(self.columns, self.rows)


def original_grid(size: tuple[int, int], placement: Placement, aligned: bool) -> Grid:
    """Logits -> padded input -> crop to the content -> original size, both resizings bilinear."""
    axes = zip(size, placement.padded, placement.content, placement.original, strict=True)
    return Grid(*(_to_original(source, *lengths, aligned, aligned) for source, *lengths in axes))


def padded_grid(size: tuple[int, int], placement: Placement) -> Grid:
    """Logits -> padded input, bilinear."""
    aligned = corners_aligned(placement)
    return Grid(*(_linear(np.eye(n), padded, aligned) for n, padded in zip(size, placement.padded, strict=True)))


def center_grid(size: tuple[int, int], placement: Placement, at_original: bool) -> Grid:
    """Maps of centres, whose corners are aligned with the input's, to the padded input or on to the original size."""
    if not at_original:
        return Grid(*(_linear(np.eye(n), padded, True) for n, padded in zip(size, placement.padded, strict=True)))
    axes = zip(size, placement.padded, placement.content, placement.original, strict=True)
    then = corners_aligned(placement)
    return Grid(*(_to_original(source, *lengths, True, then) for source, *lengths in axes))


def _to_original(source: int, padded: int, content: int, original: int, aligned: bool, then: bool) -> np.ndarray:
    return _linear(_linear(np.eye(source), padded, aligned)[:content], original, then)


def _linear(values: np.ndarray, size: int, aligned: bool) -> np.ndarray:
    """(n, C) to (size, C), linear between rows."""
    source = values.shape[0]
    steps = np.arange(size)
    if aligned:
        position = steps * ((source - 1) / (size - 1) if size > 1 else 0.0)
    else:
        position = np.maximum((steps + 0.5) * (source / size) - 0.5, 0.0)
    low = np.minimum(position.astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    share = np.clip(position - low, 0.0, 1.0)[:, None]
    return (1 - share) * values[low] + share * values[high]


def spans(weights: np.ndarray, step: int) -> list[tuple[int, int]]:
    """For each ``step`` rows of a weight matrix, the range of columns that holds their non-zero entries."""
    used = weights != 0
    found = []
    for start in range(0, used.shape[0], step):
        columns = np.flatnonzero(used[start : start + step].any(axis=0))
        found.append((int(columns[0]), int(columns[-1]) + 1))
    return found
