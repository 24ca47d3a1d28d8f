"""A row of COCO-panoptic's ``segments_info``: what makes one, the same for whoever reads, checks or scores it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantile.contracts.errors import UserError
from pantile.contracts.flags import as_flag
from pantile.contracts.json_fields import is_whole
from pantile.contracts.panoptic import MAX_ID, VOID_ID
from pantile.contracts.shortening import short


@dataclass(frozen=True)
class RowFault:
    """
    Attributes:
        kind: as ``pantile data check`` calls it.
        id: of the segment; None where it has none that counts.
        text: what the row is, such as "a segment with id 0".
        remedy: what to do.
    """

    kind: str
    id: int | None
    text: str
    remedy: str


def row_fault(row: Any, categories: Container[int], predicted: bool = False) -> RowFault | None:
    """What is wrong with a row; None where it makes a segment. A missing ``iscrowd``, or null, is 0.

    Args:
        row: as the JSON has it.
        categories: ids of the categories.
        predicted: the row is of a prediction: nobody reads its ``iscrowd``, and the categories are the ground truth's.
    """
    if not isinstance(row, dict):
        text = f"{short(row)} in segments_info, which is no object"
        return RowFault("bad-row", None, text, "write one object per segment")
    segment_id, category, crowd = row.get("id"), row.get("category_id"), row.get("iscrowd")
    text = f"a segment with id {short(segment_id)}"
    if not is_whole(segment_id) or not 0 <= segment_id <= MAX_ID:
        return RowFault("id-invalid", None, text, f"ids are whole numbers from 1 to {MAX_ID}")
    if segment_id == VOID_ID:
        return RowFault("id-zero", 0, text, "0 means void on disk, so give the segment another id")
    if not is_whole(category) or category not in categories:
        text = f"{text} and category_id {short(category)}, which "
        if predicted:
            text += "the ground truth's categories do not list"
            return RowFault("unknown-category", segment_id, text, "use the ids of the ground truth")
        text += "'categories' does not list"
        return RowFault("unknown-category", segment_id, text, "add the category or correct the segment")
    if not predicted and crowd is not None and as_flag(crowd) is None:
        return RowFault("crowd-flag", segment_id, f"{text} and iscrowd {short(crowd)}", "write 0 or 1")
    return None


def segment_rows(
    annotation: Mapping, class_of: Mapping[int, int], path: Path, predicted: bool = False
) -> list[tuple[int, int, bool]]:
    """(id, class index, crowd) of the segments of an annotation; of a prediction, none is crowd.

    Args:
        annotation: with ``segments_info``, a list, and ``file_name``.
        class_of: id of a category -> class index.
        path: of the file, for messages.
        predicted: see ``row_fault``.

    Raises:
        UserError: see ``row_fault``, or an id occurs twice.
    """
    rows = annotation["segments_info"]
    found = _all_at_once(rows, class_of, predicted)
    if found is None:  # one by one, to name the first that is wrong, or to read what is written in an unusual way
        found = [_one(row, class_of, annotation, path, predicted) for row in rows]
    if len({segment_id for segment_id, _, _ in found}) < len(found):
        where = f"{path}: annotation {short(annotation['file_name'])}"
        raise UserError(f"{where} uses a segment id twice: give every segment of an image its own id.")
    return found


def _all_at_once(rows: list, class_of: Mapping[int, int], predicted: bool) -> list[tuple[int, int, bool]] | None:
    """The same of rows without a doubt, checked together, which takes a fraction of the time; None on any suspicion."""
    try:
        ids = [row["id"] for row in rows]
        categories = [row["category_id"] for row in rows]
        crowds = [None if predicted else row.get("iscrowd") for row in rows]
        if not {*map(type, ids), *map(type, categories)} <= {int} or not set(crowds) <= {None, 0, 1}:
            return None
        if ids and not (min(ids) > VOID_ID and max(ids) <= MAX_ID):
            return None
        return list(zip(ids, [class_of[category] for category in categories], map(bool, crowds), strict=True))
    except (TypeError, KeyError, AttributeError):
        return None


def _one(
    row: Any, class_of: Mapping[int, int], annotation: Mapping, path: Path, predicted: bool
) -> tuple[int, int, bool]:
    if fault := row_fault(row, class_of, predicted):
        raise UserError(f"{path}: annotation {short(annotation['file_name'])} has {fault.text}: {fault.remedy}.")
    return row["id"], class_of[row["category_id"]], not predicted and bool(as_flag(row.get("iscrowd")))
