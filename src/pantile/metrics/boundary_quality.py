"""Boundary PQ: a match needs the outlines to agree, not only the areas.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (CVPR 2021), sections 4 and 6: the
boundary of a segment is its pixels within d of its outline, d = 2 % of the image's diagonal; Boundary IoU is the IoU of
two boundaries; Boundary PQ is PQ with min(mask IoU, Boundary IoU) in place of the IoU. Void and crowd are treated as
in the authors' evaluation: a predicted boundary's pixels on void leave the union, and a spurious segment is excused by
its whole mask.
"""

import math
from collections.abc import Callable

import numpy as np

from pantile.contracts.panoptic import VOID_ID
from pantile.metrics.bit_rows import moved_left, moved_right, packed, set_within_runs
from pantile.metrics.map_pair import MapPair, as_array
from pantile.metrics.pair_counts import CrowdRule, PairCounts, match_segments

DILATION_RATIO = 0.02


def boundary_counts(pair: MapPair, dilation_ratio: float = DILATION_RATIO, crowd: CrowdRule = "all") -> PairCounts:
    """``match_segments`` with min(mask IoU, Boundary IoU).

    Args:
        pair: the maps.
        dilation_ratio: d as a fraction of the image's diagonal; at least one pixel.
        crowd: see ``CrowdRule``.
    """
    if not pair.overlaps:
        return match_segments(pair, crowd=crowd)
    overlaps, gt_areas, pred_areas = _boundary_pixels(pair, dilation_ratio)

    def refine(gt_id: int, pred_id: int, mask_iou: float) -> float:
        intersection = overlaps[gt_id, pred_id]
        union = gt_areas[gt_id] + pred_areas[pred_id] - intersection - overlaps.get((VOID_ID, pred_id), 0)
        return min(mask_iou, intersection / union)

    return match_segments(pair, refine, crowd)


def _boundary_pixels(
    pair: MapPair, dilation_ratio: float
) -> tuple[dict[tuple[int, int], int], dict[int, int], dict[int, int]]:
    """Pixels on both boundaries by (ground-truth id, predicted id), on that of each ground-truth id, on that of each
    predicted id. Of void all pixels count, since what lies on it leaves the union."""
    runs = pair.runs
    distance = max(1, round(dilation_ratio * math.hypot(*runs.size)))
    gt_inside, pred_inside = (interior(as_array(panoptic.ids), distance) for panoptic in (pair.gt, pair.pred))

    def inside(rows: np.ndarray) -> list[int]:
        return runs.sums(set_within_runs(rows, runs.size[1], runs.starts)).tolist()

    overlaps: dict[tuple[int, int], int] = {}
    gt_areas: dict[int, int] = {}
    pred_areas: dict[int, int] = {}
    counts = zip(pair.overlaps, inside(gt_inside), inside(pred_inside), inside(gt_inside | pred_inside), strict=True)
    for (gt_id, pred_id, area), of_gt, of_pred, of_either in counts:
        overlaps[gt_id, pred_id] = area - (of_pred if gt_id == VOID_ID else of_either)
        gt_areas[gt_id] = gt_areas.get(gt_id, 0) + area - of_gt
        pred_areas[pred_id] = pred_areas.get(pred_id, 0) + area - of_pred
    return overlaps, gt_areas, pred_areas


def interior(ids: np.ndarray, distance: int) -> np.ndarray:
    """Pixels more than ``distance`` away from the outline of their segment and from the border of the image.

    The distance is the greater of the two along rows and columns: a pixel is inside where all pixels of the square with
    side 2 distance + 1 around it have its id. Comparing neighbours settles that, for all segments at once.

    Args:
        ids: (H, W) integers.
        distance: at least 1.

    Returns:
        (H, ceil(W / 64)) uint64, a bit for each pixel; see ``bit_rows.packed``.
    """
    height, width = ids.shape
    steps = 2 * distance
    flat, same = ids.reshape(-1), np.zeros(ids.shape, bool)
    np.equal(flat[1:], flat[:-1], out=same.reshape(-1)[:-1])  # one long row is compared sooner than many
    same[:, -1:] = False
    same_in_row = packed(same, width)
    inside = np.zeros_like(same_in_row)
    if min(height, width) <= steps:
        return inside
    in_row = moved_right(_all_of(same_in_row, steps, moved_left), distance)
    in_column = packed(ids[1:] == ids[:-1], width) & in_row[1:] & in_row[:-1]
    inside[distance:-distance] = _all_of(in_column, steps, lambda rows, by: rows[by:])
    return inside


def _all_of(rows: np.ndarray, length: int, moved: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Whether ``length`` consecutive bits are set, for each first one; by doubling.

    Args:
        moved: (rows, n) to the rows whose every bit is n further; it may leave out the last n rows.
    """
    span = 1
    while span < length:
        step = min(span, length - span)
        further = moved(rows, step)
        rows = rows[: len(further)] & further
        span += step
    return rows
