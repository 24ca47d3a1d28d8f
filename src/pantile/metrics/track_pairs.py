"""Which tracks share how many pixels: everything that STQ needs from the frames of a video, in a small table.

A track is what carries one id through a video. The table has a row for every pair of a true and a predicted track that
meet, however many frames there are, so that films of any length are counted in little memory, and frames in any order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import SegmentOverlaps

#: of the table; all int64. Class -1 with id 0 is void; ``gt_crowd`` is 1 on crowd regions.
COLUMNS = ("video", "gt_class", "gt_id", "gt_crowd", "pred_class", "pred_id", "pixels")
_VOID = Segment(VOID_ID, -1)


class TrackPairs(NamedTuple):
    """The columns of a table of pairs, (N,) int64 each; see ``COLUMNS``."""

    video: np.ndarray
    gt_class: np.ndarray
    gt_id: np.ndarray
    gt_crowd: np.ndarray
    pred_class: np.ndarray
    pred_id: np.ndarray
    pixels: np.ndarray

    def where(self, rows: np.ndarray) -> "TrackPairs":
        """Some of the rows, by a mask or by positions."""
        return TrackPairs(*(column[rows] for column in self))


def pair_rows(frame: SegmentOverlaps, video: int) -> np.ndarray:
    """The rows of one frame, (N, 7) int64."""
    rows = []
    for gt_id, pred_id, pixels in frame.overlaps:
        true, predicted = frame.gt_rows.get(gt_id, _VOID), frame.pred_rows.get(pred_id, _VOID)
        rows.append((video, true.class_index, gt_id, true.is_crowd, predicted.class_index, pred_id, pixels))
    return np.array(rows, np.int64).reshape(-1, len(COLUMNS))


def added_up(rows: np.ndarray) -> np.ndarray:
    """Rows of one pair made one, sorted: (N, 7) int64 to (M, 7)."""
    return np.column_stack(sums_by(list(rows[:, :-1].T), rows[:, -1]))


def sums_by(keys: Sequence[np.ndarray], values: np.ndarray) -> list[np.ndarray]:
    """Adds up the values of equal keys.

    Args:
        keys: (N,) each.
        values: (N,)

    Returns:
        The distinct keys, (M,) each, sorted by the first, then the second ...; then their sums.
    """
    if not values.size:
        return [*keys, values]
    order = np.lexsort(list(keys)[::-1])
    keys = [key[order] for key in keys]
    begins = np.zeros(values.size, bool)
    begins[0] = True
    for key in keys:
        begins[1:] |= key[1:] != key[:-1]
    firsts = np.flatnonzero(begins)
    return [*(key[firsts] for key in keys), np.add.reduceat(values[order], firsts)]


def check_classes(frame: SegmentOverlaps, taxonomy: Taxonomy) -> None:
    """
    Raises:
        UserError: a class index that the taxonomy lacks.
    """
    for what, rows in (("ground truth", frame.gt_rows), ("prediction", frame.pred_rows)):
        for segment in rows.values():
            if not 0 <= segment.class_index < len(taxonomy):
                raise UserError(
                    f"Segment {segment.id} of the {what} has class index {segment.class_index}, but the taxonomy has "
                    f"{len(taxonomy)} classes: use an index from 0 to {len(taxonomy) - 1}."
                )
