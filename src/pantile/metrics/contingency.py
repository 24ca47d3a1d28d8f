"""Contingency table of two id maps: how many pixels each pair of ids shares. Everything that PQ needs from pixels."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID

_ID_BITS = 24


class Contingency(NamedTuple):
    """The pairs of ids that share at least one pixel, sorted by ground-truth id, then predicted id.

    Attributes:
        gt_ids: (P,) int64, 0..2**24-1.
        pred_ids: (P,) int64, 0..2**24-1.
        areas: (P,) int64, shared pixels, at least 1; they sum to H*W.
    """

    gt_ids: np.ndarray
    pred_ids: np.ndarray
    areas: np.ndarray


@dataclass(frozen=True)
class JointRuns:
    """Two maps of one image, row after row, cut where the ground-truth id or the predicted id changes.

    Neighbours along a row nearly always carry the same pair, so what is asked of pairs of ids is asked of runs, of
    which there are some thousands. Noise, where each pixel is a run, costs one sort of H*W integers.

    Attributes:
        size: (H, W).
        starts: (R,) int64, the first pixel of each run in the flattened map.
        gt_ids: (R,) int64, 0..2**24-1.
        pred_ids: (R,) int64, 0..2**24-1.
    """

    size: tuple[int, int]
    starts: np.ndarray
    gt_ids: np.ndarray
    pred_ids: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(R,) int64, pixels of each run, at least 1."""
        return np.diff(self.starts, append=self.size[0] * self.size[1])

    def table(self) -> Contingency:
        """The pairs of ids and the pixels of each."""
        pairs, _, _ = self._by_pair
        return Contingency(pairs >> _ID_BITS, pairs & MAX_ID, self.sums(self.lengths))

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """(R,) integers of the runs to (P,) int64 of the pairs, in the order of ``table``."""
        _, order, firsts = self._by_pair
        return np.add.reduceat(weights[order], firsts, dtype=np.int64) if len(firsts) else np.empty(0, np.int64)

    @cached_property
    def _by_pair(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs, sorted; the runs in the order of their pairs; where in that order each pair begins."""
        pairs = (self.gt_ids << _ID_BITS) | self.pred_ids
        order = np.argsort(pairs)
        pairs = pairs[order]
        firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
        return pairs[firsts], order, firsts


def joint_runs(gt_ids: np.ndarray, pred_ids: np.ndarray) -> JointRuns:
    """
    Args:
        gt_ids: (H, W) integers 0..2**24-1, any integer dtype.
        pred_ids: (H, W) integers 0..2**24-1, of the same size.

    Raises:
        UserError: the sizes differ, the maps do not hold integers, or an id is out of range.
    """
    if gt_ids.shape != pred_ids.shape:
        remedy = "resize the prediction to the size of the ground truth."
        if gt_ids.ndim == 2 and gt_ids.shape == pred_ids.shape[::-1]:
            remedy = (
                "one of them lies on its side; `predict --orientation stored` leaves photos as their files hold them."
            )
        raise UserError(f"The ground truth is {_size(gt_ids)} pixels but the prediction is {_size(pred_ids)}: {remedy}")
    for what, ids in (("ground truth", gt_ids), ("prediction", pred_ids)):
        if ids.dtype.kind not in "iu":
            raise UserError(f"The {what} holds {ids.dtype} values: give its ids as integers.")
    gt_flat, pred_flat = gt_ids.reshape(-1), pred_ids.reshape(-1)
    if gt_flat.size == 0:
        none = np.empty(0, np.int64)
        return JointRuns(gt_ids.shape, none, none, none)

    starts_run = np.empty(gt_flat.size, bool)
    starts_run[0] = True
    np.not_equal(gt_flat[1:], gt_flat[:-1], out=starts_run[1:])
    starts_run[1:] |= pred_flat[1:] != pred_flat[:-1]
    starts = np.flatnonzero(starts_run)
    gt_runs, pred_runs = gt_flat[starts], pred_flat[starts]
    _check_range(gt_runs, "ground truth")
    _check_range(pred_runs, "prediction")
    return JointRuns(gt_ids.shape, starts, gt_runs.astype(np.int64), pred_runs.astype(np.int64))


def contingency_table(gt_ids: np.ndarray, pred_ids: np.ndarray) -> Contingency:
    """Counts the pixels of each (ground-truth id, predicted id) pair; see ``joint_runs``."""
    return joint_runs(gt_ids, pred_ids).table()


def _check_range(ids: np.ndarray, what: str) -> None:
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high > MAX_ID:
        raise UserError(
            f"The {what} holds the id {low if low < 0 else high}: renumber its segments to 1..{MAX_ID} (0 is void)."
        )


def _size(ids: np.ndarray) -> str:
    return " x ".join(str(n) for n in ids.shape)
