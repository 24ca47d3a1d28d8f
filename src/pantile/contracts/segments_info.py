"""A row of COCO-panoptic's ``segments_info``: what makes one, the same for whoever reads, checks or scores it."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

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
