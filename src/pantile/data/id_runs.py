"""IdRuns: an id map as runs of equal neighbours, from which areas and boxes of all segments come in one pass."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class IdRuns:
    """A map has a hundred times fewer runs than pixels.

    Attributes:
        ids: (N,) the ids that occur, ascending.
        which: (R,) int64, for each run in reading order the place of its id in ``ids``.
        lengths: (R,) int64, pixels of each run; they sum to H*W.
        width: W, of the map.
    """

    ids: np.ndarray
    which: np.ndarray
    lengths: np.ndarray
    width: int

    @classmethod
    def of(cls, ids: np.ndarray) -> "IdRuns":
        """
        Args:
            ids: (H, W) integer; a flat map counts as one row.
        """
        values, lengths = runs(ids)
        present, which = np.unique(values, return_inverse=True)
        return cls(present, which, lengths, ids.shape[-1])

    def areas(self) -> dict[int, int]:
        """Pixels of each id."""
        counts = np.bincount(self.which, weights=self.lengths, minlength=len(self.ids)).astype(np.int64)
        return dict(zip(self.ids.tolist(), counts.tolist(), strict=True))

    def slices(self) -> dict[int, tuple[slice, slice]]:
        """(rows, columns) that hold all pixels of each id and no line more."""
        if not self.which.size:
            return {}
        ends = np.cumsum(self.lengths)
        top, left = np.divmod(ends - self.lengths, self.width)
        bottom, right = np.divmod(ends - 1, self.width)
        over_rows = bottom > top
        left[over_rows], right[over_rows] = 0, self.width - 1
        order = np.argsort(self.which, kind="stable")
        first = np.searchsorted(self.which[order], np.arange(len(self.ids)))
        least, most = np.minimum.reduceat, np.maximum.reduceat
        sides = [
            extreme(side[order], first).tolist()
            for extreme, side in ((least, top), (most, bottom), (least, left), (most, right))
        ]
        return {
            own: (slice(t, b + 1), slice(x, y + 1)) for own, t, b, x, y in zip(self.ids.tolist(), *sides, strict=True)
        }


def runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and length of each run of equal neighbours in reading order; lengths sum to ``ids.size``."""
    flat = ids.ravel()
    if not flat.size:
        return flat, np.zeros(0, dtype=np.int64)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return flat[starts], np.diff(starts, append=flat.size)


def box_of(slices: tuple[slice, slice]) -> list[int]:
    """COCO's [left, top, width, height] of (rows, columns)."""
    rows, columns = slices
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
