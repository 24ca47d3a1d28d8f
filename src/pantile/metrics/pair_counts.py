"""What one prediction gets right and wrong: matched, missed and spurious segments of one image.

Kirillov et al., "Panoptic Segmentation" (CVPR 2019), section 4, with void and crowd regions treated as in the
reference evaluation of COCO, but for one point: where a class has several crowd regions in one image, the reference
(panopticapi, ``pq_compute_single_core``) keeps the one that its table lists last, so that a count depends on the order
of rows. ``CrowdRule`` names both readings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.metrics.map_pair import SegmentOverlaps, as_array, compare

__all__ = ["CROWD_RULES", "CrowdRule", "Match", "PairCounts", "as_array", "count_pair", "match_segments"]

#: Which crowd regions of its class excuse a prediction: "all", by the sum of what it shares with them, or as in the
#: "reference" the last of the table. Where no class has several in an image, both say the same.
CrowdRule = Literal["all", "reference"]
CROWD_RULES: tuple[CrowdRule, ...] = get_args(CrowdRule)


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


def count_pair(pred: PanopticMap, gt: PanopticMap, crowd: CrowdRule = "all") -> PairCounts:
    """Matches the segments of a prediction with the ground truth of the same image.

    Areas come from the pixels. A prediction's pixels on void leave the union of its IoU.

    Args:
        pred: ids as a numpy array or a torch tensor on any device.
        gt: the same, of the same size.
        crowd: see ``CrowdRule``.

    Raises:
        UserError: ids that are not one (H, W) map, a table and its pixels disagree, a table repeats an id or uses one
            outside 1..2**24-1, or the two maps differ in size.
    """
    return match_segments(compare(pred, gt), crowd=crowd)


def match_segments(
    pair: SegmentOverlaps, refine: Callable[[int, int, float], float] | None = None, crowd: CrowdRule = "all"
) -> PairCounts:
    """``count_pair`` of what is compared already.

    Args:
        pair: the segments of an image, or of several whose pixels are added up.
        refine: (ground-truth id, predicted id, mask IoU) to the IoU that decides instead, not above the mask IoU;
            only asked where the mask IoU exceeds 0.5.
        crowd: see ``CrowdRule``.
    """
    crowds = _crowds(pair, crowd)
    sheltering = {VOID_ID}.union(*crowds.values())
    on_void: dict[int, int] = {}
    sheltered: dict[int, int] = {}  # pixels on void or on crowd of the same class
    for gt_id, pred_id, area in pair.overlaps:
        if gt_id not in sheltering or pred_id == VOID_ID:
            continue
        if gt_id == VOID_ID:
            on_void[pred_id] = area
        if gt_id == VOID_ID or gt_id in crowds.get(pair.pred_rows[pred_id].class_index, ()):
            sheltered[pred_id] = sheltered.get(pred_id, 0) + area

    matches = []
    for gt_id, pred_id, intersection in pair.overlaps:
        # Most pairs end here: the union holds at least the ground-truth segment.
        if 2 * intersection <= pair.gt_areas[gt_id] or VOID_ID in (gt_id, pred_id):
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
    missed = tuple(s for s in pair.gt_rows.values() if not s.is_crowd and s.id not in matched_gt)
    spurious, ignored = [], []
    for segment in pair.pred_rows.values():
        if segment.id not in matched_pred:
            mostly_sheltered = sheltered.get(segment.id, 0) / pair.pred_areas[segment.id] > 0.5
            (ignored if mostly_sheltered else spurious).append(segment)
    return PairCounts(tuple(matches), missed, tuple(spurious), tuple(ignored))


def rules_differ(pair: SegmentOverlaps) -> bool:
    """Whether the two rules about crowd count the segments of an image differently."""
    if all(len(ids) < 2 for ids in _crowds(pair, "all").values()):
        return False
    return match_segments(pair, crowd="all") != match_segments(pair, crowd="reference")


def check_rule(crowd: str) -> None:
    """
    Raises:
        UserError: not one of ``CROWD_RULES``.
    """
    if crowd not in CROWD_RULES:
        raise UserError(f"The rule about crowd is {crowd!r}: choose {' or '.join(CROWD_RULES)}.")


def _crowds(pair: SegmentOverlaps, rule: CrowdRule) -> dict[int, set[int]]:
    """Class index -> ids of the crowd regions that excuse a prediction of that class."""
    check_rule(rule)
    crowds: dict[int, set[int]] = {}
    for segment in pair.gt_rows.values():
        if segment.is_crowd:
            before = crowds.get(segment.class_index, set()) if rule == "all" else set()
            crowds[segment.class_index] = before | {segment.id}
    return crowds
