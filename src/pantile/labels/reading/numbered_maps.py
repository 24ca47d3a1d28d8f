"""A map of numbers and a table of what they are, as a panoptic map; numbers and rows that do not meet are told."""

from collections.abc import Iterable

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_rows import count_pixels
from pantile.labels.reading.rasterise import NO_PIXEL
from pantile.labels.reading.tool_shapes import NOT_LISTED
from pantile.labels.source import Dropped

NO_ROW = "number without an annotation"
UNKNOWN = "(unknown)"


def map_from_table(
    numbers: np.ndarray, rows: Iterable[tuple[int, str]], taxonomy: Taxonomy, where: str
) -> tuple[PanopticMap, tuple[Dropped, ...]]:
    """
    Args:
        numbers: (H, W) whole numbers from 0, which is void, to ``MAX_ID``.
        rows: number and class of each annotation. Rows of one stuff class are one segment.
        taxonomy: of the source.
        where: for messages.

    Returns:
        The map, and what is in only one of both.

    Raises:
        UserError: two rows of one number.
    """
    present = count_pixels(numbers)
    class_of: dict[int, int] = {}
    dropped, listed = [], set()
    for number, label in rows:
        if number in listed:
            raise UserError(f"{where} has two annotations of the number {number}: give each its own.")
        listed.add(number)
        if label not in taxonomy.names:
            dropped.append(Dropped(label, NOT_LISTED, f"{where}: number {number}"))
        elif number not in present or number == VOID_ID:
            dropped.append(Dropped(label, NO_PIXEL, f"{where}: number {number}"))
        else:
            class_of[number] = taxonomy.names.index(label)
    dropped += [Dropped(UNKNOWN, NO_ROW, f"{where}: number {n}") for n in present if n not in listed and n != VOID_ID]
    first: dict[int, int] = {}
    ids = {n: n if taxonomy.classes[k].is_thing else first.setdefault(k, n) for n, k in class_of.items()}
    known, place = np.unique(numbers, return_inverse=True)
    new = np.array([ids.get(int(n), VOID_ID) for n in known], dtype=np.int32)
    segments = tuple(Segment(n, k) for n, k in class_of.items() if ids[n] == n)
    return PanopticMap(new[place.reshape(numbers.shape)], segments), tuple(dropped)
