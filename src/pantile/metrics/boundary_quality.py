"""Boundary PQ: a match needs the outlines to agree, not only the areas.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (CVPR 2021), sections 4 and 6: the
boundary of a segment is its pixels within d of its outline, d = 2 % of the image's diagonal; Boundary IoU is the IoU of
two boundaries; Boundary PQ is PQ with min(mask IoU, Boundary IoU) in place of the IoU. Void and crowd are treated as
in the authors' evaluation: a predicted boundary's pixels on void leave the union, and a spurious segment is excused by
its whole mask.
"""

import math
from itertools import count

import numpy as np

from pantile.contracts.panoptic import VOID_ID
from pantile.metrics.map_pair import MapPair, areas_of, as_array, shared_pixels
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
    gt_ids, pred_ids = as_array(pair.gt.ids), as_array(pair.pred.ids)
    distance = max(1, round(dilation_ratio * math.hypot(*gt_ids.shape)))
    overlaps = shared_pixels(
        _boundaries(gt_ids, distance, set(pair.gt_areas)), _boundaries(pred_ids, distance, set(pair.pred_areas))
    )
    gt_areas, pred_areas = areas_of(overlaps)
    shared = {(gt_id, pred_id): area for gt_id, pred_id, area in overlaps}

    def refine(gt_id: int, pred_id: int, mask_iou: float) -> float:
        intersection = shared.get((gt_id, pred_id), 0)
        union = gt_areas[gt_id] + pred_areas[pred_id] - intersection - shared.get((VOID_ID, pred_id), 0)
        return min(mask_iou, intersection / union)

    return match_segments(pair, refine, crowd)


def interior(ids: np.ndarray, distance: int) -> np.ndarray:
    """Pixels more than ``distance`` away from the outline of their segment and from the border of the image.

    The distance is the greater of the two along rows and columns: a pixel is inside where all pixels of the square with
    side 2 distance + 1 around it have its id. Comparing neighbours settles that, for all segments at once.

    Args:
        ids: (H, W) integers.
        distance: at least 1.

    Returns:
        (H - 2 distance, W - 2 distance) bool, the pixels at least ``distance`` from the border; empty for small images.
    """
    steps = 2 * distance
    if min(ids.shape) <= steps:
        return np.zeros((0, 0), bool)
    in_row = _all_of(ids[:, 1:] == ids[:, :-1], steps, axis=1)
    middle = ids[:, distance:-distance]
    return _all_of((middle[1:] == middle[:-1]) & in_row[1:] & in_row[:-1], steps, axis=0)


def _boundaries(ids: np.ndarray, distance: int, used: set[int]) -> np.ndarray:
    """The map with the inside of every segment painted in an id that no segment has; void stays void."""
    inside = interior(ids, distance)
    if not inside.size:
        return ids
    free = next(i for i in count(1) if i not in used)
    boundaries = ids.astype(np.int32)
    middle = boundaries[distance:-distance, distance:-distance]
    middle[inside & (middle != VOID_ID)] = free
    return boundaries


def _all_of(flags: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Whether ``length`` consecutive flags along ``axis`` are set, for each first one; by doubling."""
    flags = np.moveaxis(flags, axis, 0)
    span = 1
    while span < length:
        step = min(span, length - span)
        flags = flags[:-step] & flags[step:]
        span += step
    return np.moveaxis(flags, 0, axis)
