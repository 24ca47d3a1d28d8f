"""What one prediction gets right and wrong: matched, missed and spurious segments of one image.

Kirillov et al., "Panoptic Segmentation" (CVPR 2019), section 4, with void and crowd regions treated as in the
reference evaluation of COCO.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.metrics.map_pair import MapPair, as_array, compare

__all__ = ["Match", "PairCounts", "as_array", "count_pair", "match_segments"]


class Match(NamedTuple):
    """A true positive: two segments of one class whose IoU exceeds 0.5."""

    gt: Segment
    pred: Segment
    iou: float


@dataclass(frozen=True)
class PairCounts:
    """The segments of one image by their outcome.

    Attributes:
        matches: true positives, sorted by ground-truth id.
        missed: ground-truth segments without a match (false negatives); never crowd.
        spurious: predicted segments without a match (false positives).
        ignored: predicted segments without a match of which more than half lies on void or on crowd of their class;
            they count neither way.
    """

    matches: tuple[Match, ...]
    missed: tuple[Segment, ...]
    spurious: tuple[Segment, ...]
    ignored: tuple[Segment, ...]


def count_pair(pred: PanopticMap, gt: PanopticMap) -> PairCounts:
    """Matches the segments of a prediction with the ground truth of the same image.

    Areas come from the pixels. A prediction's pixels on void leave the union of its IoU. Where a class has several
    crowd regions in one image, the last row of the table is the one that shelters predictions, as in the reference.

    Args:
        pred: ids as a numpy array or a torch tensor on any device.
        gt: the same, of the same size.

    Raises:
        UserError: a table and its pixels disagree, a table repeats an id or uses one outside 1..2**24-1, or
            the two maps differ in size.
    """
    return match_segments(compare(pred, gt))


def match_segments(pair: MapPair, refine: Callable[[int, int, float], float] | None = None) -> PairCounts:
    """``count_pair`` of maps that are compared already.

    Args:
        pair: the maps.
        refine: (ground-truth id, predicted id, mask IoU) to the IoU that decides instead, not above the mask IoU;
            only asked where the mask IoU exceeds 0.5.
    """
    crowd_of_class = {s.class_index: s.id for s in pair.gt.segments if s.is_crowd}
    on_void: dict[int, int] = {}
    sheltered: dict[int, int] = {}  # pixels on void or on crowd of the same class
    for gt_id, pred_id, area in pair.overlaps:
        if pred_id == VOID_ID:
            continue
        if gt_id == VOID_ID:
            on_void[pred_id] = area
        if gt_id in (VOID_ID, crowd_of_class.get(pair.pred_rows[pred_id].class_index)):
            sheltered[pred_id] = sheltered.get(pred_id, 0) + area

    matches = []
    for gt_id, pred_id, intersection in pair.overlaps:
        if VOID_ID in (gt_id, pred_id):
            continue
        gt_segment, pred_segment = pair.gt_rows[gt_id], pair.pred_rows[pred_id]
        if gt_segment.is_crowd or gt_segment.class_index != pred_segment.class_index:
            continue
        union = pair.gt_areas[gt_id] + pair.pred_areas[pred_id] - intersection - on_void.get(pred_id, 0)
        iou = intersection / union
        if iou > 0.5 and refine:
            iou = refine(gt_id, pred_id, iou)
        if iou > 0.5:
            matches.append(Match(gt_segment, pred_segment, iou))

    matched_gt = {m.gt.id for m in matches}
    matched_pred = {m.pred.id for m in matches}
    missed = tuple(s for s in pair.gt.segments if not s.is_crowd and s.id not in matched_gt)
    spurious, ignored = [], []
    for segment in pair.pred.segments:
        if segment.id not in matched_pred:
            mostly_sheltered = sheltered.get(segment.id, 0) / pair.pred_areas[segment.id] > 0.5
            (ignored if mostly_sheltered else spurious).append(segment)
    return PairCounts(tuple(matches), missed, tuple(spurious), tuple(ignored))
