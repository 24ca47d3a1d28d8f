"""MapPair: a prediction and its ground truth, checked and compared once, for every metric that needs the overlaps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, VOID_ID, PanopticMap, Segment
from pantile.metrics.contingency import JointRuns, joint_runs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SegmentOverlaps:
    """The segments of a prediction and of its ground truth, and the pixels that they share: in one image, or summed
    over several.

    Attributes:
        overlaps: (ground-truth id, predicted id, shared pixels) for each pair that shares at least one pixel, sorted;
            void takes part with its id 0.
        gt_areas: pixels of each id of the ground truth, void included.
        pred_areas: pixels of each id of the prediction, void included.
        gt_rows: the ground truth's table by id, in its order.
        pred_rows: the prediction's table by id, in its order.
    """

    overlaps: list[tuple[int, int, int]]
    gt_areas: dict[int, int]
    pred_areas: dict[int, int]
    gt_rows: dict[int, Segment]
    pred_rows: dict[int, Segment]


@dataclass(frozen=True)
class MapPair(SegmentOverlaps):
    """Two maps of one image, and what their pixels share.

    Attributes:
        pred: the prediction.
        gt: the ground truth.
        runs: of both together; ``overlaps`` has the pairs of ids in the order of its table.
    """

    pred: PanopticMap
    gt: PanopticMap
    runs: JointRuns


def compare(pred: PanopticMap, gt: PanopticMap) -> MapPair:
    """Counts shared pixels and checks that the tables agree with the pixels.

    Args:
        pred: ids as a numpy array or a torch tensor on any device.
        gt: the same, of the same size.

    Raises:
        UserError: ids that are not one (H, W) map, a table and its pixels disagree, a table repeats an id or uses one
            outside 1..2**24-1, or the two maps differ in size.
    """
    runs = joint_runs(id_map(gt, "ground truth"), id_map(pred, "prediction"))
    table = runs.table()
    overlaps = list(zip(table.gt_ids.tolist(), table.pred_ids.tolist(), table.areas.tolist(), strict=True))
    gt_areas, pred_areas = areas_of(overlaps)
    gt_rows = _checked_rows(gt, gt_areas, "ground truth")
    pred_rows = _checked_rows(pred, pred_areas, "prediction")
    return MapPair(overlaps, gt_areas, pred_areas, gt_rows, pred_rows, pred=pred, gt=gt, runs=runs)


def areas_of(overlaps: list[tuple[int, int, int]]) -> tuple[dict[int, int], dict[int, int]]:
    """Pixels of each ground-truth id and of each predicted id."""
    gt_areas: dict[int, int] = {}
    pred_areas: dict[int, int] = {}
    for gt_id, pred_id, area in overlaps:
        gt_areas[gt_id] = gt_areas.get(gt_id, 0) + area
        pred_areas[pred_id] = pred_areas.get(pred_id, 0) + area
    return gt_areas, pred_areas


def as_array(ids: "np.ndarray | torch.Tensor") -> np.ndarray:
    """Ids as a numpy array in host memory, without a copy where there is none to make."""
    # By its method, not its type: counting arrays does not need torch, which takes seconds and 500 MB to import.
    return ids.detach().cpu().numpy() if hasattr(ids, "detach") else np.asarray(ids)


def id_map(panoptic: PanopticMap, what: str) -> np.ndarray:
    """The ids of one image, (H, W).

    Raises:
        UserError: no ``PanopticMap``, or ids of another shape: a stack of images would be counted as one.
    """
    if not isinstance(panoptic, PanopticMap):
        raise UserError(f"The {what} is a {type(panoptic).__name__}: give a PanopticMap (ids and segments) per image.")
    ids = as_array(panoptic.ids)
    if ids.ndim != 2:
        raise UserError(
            f"The {what} has ids of shape {tuple(ids.shape)}, which is not one (H, W) map: give a PanopticMap for each "
            "image of a batch."
        )
    return ids


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
