"""What one prediction gets right and wrong: matched, missed and spurious segments of one image.

Kirillov et al., "Panoptic Segmentation" (CVPR 2019), section 4, with void and crowd regions treated as in the
reference evaluation of COCO.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, VOID_ID, PanopticMap, Segment
from pantile.metrics.contingency import contingency_table


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
    table = contingency_table(as_array(gt.ids), as_array(pred.ids))
    overlaps = list(zip(table.gt_ids.tolist(), table.pred_ids.tolist(), table.areas.tolist(), strict=True))
    gt_areas: dict[int, int] = {}
    pred_areas: dict[int, int] = {}
    for gt_id, pred_id, area in overlaps:
        gt_areas[gt_id] = gt_areas.get(gt_id, 0) + area
        pred_areas[pred_id] = pred_areas.get(pred_id, 0) + area
    gt_segments = _checked_rows(gt, gt_areas, "ground truth")
    pred_segments = _checked_rows(pred, pred_areas, "prediction")

    crowd_of_class = {s.class_index: s.id for s in gt.segments if s.is_crowd}
    on_void: dict[int, int] = {}
    sheltered: dict[int, int] = {}  # pixels on void or on crowd of the same class
    for gt_id, pred_id, area in overlaps:
        if pred_id == VOID_ID:
            continue
        if gt_id == VOID_ID:
            on_void[pred_id] = area
        if gt_id in (VOID_ID, crowd_of_class.get(pred_segments[pred_id].class_index)):
            sheltered[pred_id] = sheltered.get(pred_id, 0) + area

    matches = []
    for gt_id, pred_id, intersection in overlaps:
        if VOID_ID in (gt_id, pred_id):
            continue
        gt_segment, pred_segment = gt_segments[gt_id], pred_segments[pred_id]
        if gt_segment.is_crowd or gt_segment.class_index != pred_segment.class_index:
            continue
        union = gt_areas[gt_id] + pred_areas[pred_id] - intersection - on_void.get(pred_id, 0)
        iou = intersection / union
        if iou > 0.5:
            matches.append(Match(gt_segment, pred_segment, iou))

    matched_gt = {m.gt.id for m in matches}
    matched_pred = {m.pred.id for m in matches}
    missed = tuple(s for s in gt.segments if not s.is_crowd and s.id not in matched_gt)
    spurious, ignored = [], []
    for segment in pred.segments:
        if segment.id not in matched_pred:
            mostly_sheltered = sheltered.get(segment.id, 0) / pred_areas[segment.id] > 0.5
            (ignored if mostly_sheltered else spurious).append(segment)
    return PairCounts(tuple(matches), missed, tuple(spurious), tuple(ignored))


def as_array(ids: np.ndarray | torch.Tensor) -> np.ndarray:
    """Ids as a numpy array in host memory, without a copy where there is none to make."""
    return ids.detach().cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)


def _checked_rows(panoptic: PanopticMap, areas: dict[int, int], what: str) -> dict[int, Segment]:
    rows = {s.id: s for s in panoptic.segments}
    if len(rows) < len(panoptic.segments):
        seen: set[int] = set()
        repeated = next(s.id for s in panoptic.segments if s.id in seen or seen.add(s.id))
        raise UserError(f"The table of the {what} lists the segment id {repeated} twice: give each segment its own id.")
    for segment_id in rows:
        if not VOID_ID < segment_id <= MAX_ID:
            reason = "id 0 means void" if segment_id == VOID_ID else "ids lie within 24 bits"
            raise UserError(
                f"The table of the {what} lists a segment with id {segment_id}, but {reason}: "
                f"renumber its segments to 1..{MAX_ID}."
            )
        if segment_id not in areas:
            raise UserError(
                f"The table of the {what} lists the segment id {segment_id}, but no pixel has it: remove that row."
            )
    for segment_id in areas:
        if segment_id != VOID_ID and segment_id not in rows:
            raise UserError(
                f"The {what} has pixels with id {segment_id}, but its table of segments lacks that id: "
                "add the row, or set the pixels to 0 (void)."
            )
    return rows
