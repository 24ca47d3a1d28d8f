"""Categories of COCO's JSON as tools write them: roots that are no class, and numbers beyond what labels hold."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pantile.contracts.json_fields import Fields
from pantile.contracts.panoptic import MAX_ID
from pantile.labels.source import LeftOut, Note

MAX_WRITTEN = 2**63 - 1
NO_PARENT = (None, "", "none")


@dataclass(frozen=True)
class CocoCategories:
    """
    Attributes:
        rows: the classes, with ids that labels can hold.
        id_of: category id of the file to that of its row.
        notes: what was left out or numbered anew.
    """

    rows: list[Fields]
    id_of: dict[int, int]
    notes: tuple[Note, ...] = ()


def settle_categories(rows: Sequence[Fields], used: Collection[int]) -> CocoCategories:
    """
    Args:
        rows: ``categories``, whose ids were looked at.
        used: category ids of the annotations.
    """
    kept = [row for row in rows if not _is_root(row, rows, used)]
    notes: tuple[Note, ...] = ()
    if len(kept) < len(rows):
        root = next(row for row in rows if row not in kept)
        text = f"The category {root.data['name']!r} has no annotation and stands above the others: left out."
        notes = (LeftOut("classes", len(rows) - len(kept), text),)
    ids = [row.data["id"] for row in kept]
    if max(ids, default=0) <= MAX_ID:
        return CocoCategories(kept, {i: i for i in ids}, notes)
    id_of = {i: k for k, i in enumerate(ids, start=1)}
    numbered = [Fields(row.data | {"id": id_of[row.data["id"]]}, row.where) for row in kept]
    text = f"The category ids go up to {max(ids)}, beyond {MAX_ID}: numbered anew from 1, in their order."
    return CocoCategories(numbered, id_of, (*notes, text))


def _is_root(row: Fields, rows: Sequence[Fields], used: Collection[int]) -> bool:
    """Roboflow's first category: the parent of all others, without annotations; its name may be that of a class."""
    others = [other.data.get("supercategory") for other in rows if other is not row]
    above = row.data.get("supercategory") in NO_PARENT and bool(others) and set(others) == {row.data["name"]}
    return above and row.data["id"] not in used
