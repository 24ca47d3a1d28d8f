"""Contingency table of two id maps: how many pixels each pair of ids shares. Everything that PQ needs from pixels."""

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


def contingency_table(gt_ids: np.ndarray, pred_ids: np.ndarray) -> Contingency:
    """Counts the pixels of each (ground-truth id, predicted id) pair.

    Neighbours along a row nearly always carry the same pair, so the flattened maps are first cut into runs of one
    pair, and only the runs are sorted and summed. Noise, where each pixel is a run, costs one sort of H*W integers.

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
        return Contingency(none, none, none)

    starts_run = np.empty(gt_flat.size, bool)
    starts_run[0] = True
    np.not_equal(gt_flat[1:], gt_flat[:-1], out=starts_run[1:])
    starts_run[1:] |= pred_flat[1:] != pred_flat[:-1]
    starts = np.flatnonzero(starts_run)
    lengths = np.diff(starts, append=gt_flat.size)

    gt_runs, pred_runs = gt_flat[starts], pred_flat[starts]
    _check_range(gt_runs, "ground truth")
    _check_range(pred_runs, "prediction")
    pairs = (gt_runs.astype(np.int64) << _ID_BITS) | pred_runs.astype(np.int64)
    order = np.argsort(pairs)
    pairs = pairs[order]
    firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
    areas = np.add.reduceat(lengths[order], firsts)
    return Contingency(pairs[firsts] >> _ID_BITS, pairs[firsts] & MAX_ID, areas)


def _check_range(ids: np.ndarray, what: str) -> None:
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high > MAX_ID:
        raise UserError(
            f"The {what} holds the id {low if low < 0 else high}: renumber its segments to 1..{MAX_ID} (0 is void)."
        )


def _size(ids: np.ndarray) -> str:
    return " x ".join(str(n) for n in ids.shape)
