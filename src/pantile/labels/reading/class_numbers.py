"""Formats that keep a class and a number per pixel: which number means what, and what a format cannot hold."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_rows import count_pixels
from pantile.labels.report import Report

NO_ROOM = -1


@dataclass(frozen=True)
class Numbering:
    """
    Attributes:
        first, last: numbers of the instances of a thing class in an image.
        crowd: number of its crowd region. Pixels of stuff have ``stuff``.
        stuff: number of stuff when written; any is accepted when read.
        max_class: largest class value.
    """

    first: int
    last: int
    crowd: int
    stuff: int
    max_class: int


def map_from_numbers(
    classes: np.ndarray,
    numbers: np.ndarray,
    taxonomy: Taxonomy,
    numbering: Numbering,
    void: tuple[int, ...],
    path: Path,
) -> PanopticMap:
    """Every (thing class, number) is a segment, every stuff class one; ids count from 1 in that order.

    Args:
        classes: (H, W) category ids.
        numbers: (H, W) non-negative integers.
        taxonomy: knows the category ids.
        numbering: of the format.
        void: class values that mean void.
        path: of the label, for messages.

    Raises:
        UserError: sizes differ, or a class value that is neither void nor a category.
    """
    if classes.shape != numbers.shape:
        raise UserError(
            f"{path} is {classes.shape[1]}x{classes.shape[0]} pixels but its instance map is "
            f"{numbers.shape[1]}x{numbers.shape[0]}: make both the same size."
        )
    step = int(numbers.max(initial=0)) + 1
    codes, position = np.unique(classes.astype(np.int64) * step + numbers, return_inverse=True)
    id_of_code = np.zeros(len(codes), dtype=np.int32)
    id_of_stuff: dict[int, int] = {}
    segments: list[Segment] = []
    for k, (value, number) in enumerate(zip(*(part.tolist() for part in np.divmod(codes, step)), strict=True)):
        if value in void:
            continue
        if value not in taxonomy.index_of_id:
            raise UserError(
                f"{path} has {int((classes == value).sum())} pixels of class {value}, which the list of classes lacks: "
                "add it there, or paint these pixels void."
            )
        class_index = taxonomy.index_of_id[value]
        is_thing = taxonomy.classes[class_index].is_thing
        if not is_thing and class_index in id_of_stuff:
            id_of_code[k] = id_of_stuff[class_index]
            continue
        segments.append(Segment(len(segments) + 1, class_index, is_thing and number == numbering.crowd))
        id_of_code[k] = len(segments)
        if not is_thing:
            id_of_stuff[class_index] = len(segments)
    return PanopticMap(id_of_code[position].reshape(classes.shape), tuple(segments))


def numbers_from_map(
    panoptic: PanopticMap, taxonomy: Taxonomy, numbering: Numbering, void: int, report: Report
) -> tuple[np.ndarray, np.ndarray, PanopticMap]:
    """The inverse. What the format cannot hold becomes void or merges, and is reported.

    Returns:
        (H, W) int64 class values, (H, W) int64 numbers, and the map that the format holds: what
        ``map_from_numbers`` gives back, with the ids of ``panoptic``.
    """
    areas = count_pixels(panoptic.ids)
    class_values, numbers, kept_ids = {VOID_ID: void}, {VOID_ID: 0}, {VOID_ID: VOID_ID}
    kept: dict[tuple[int, int], Segment] = {}
    used: Counter = Counter()
    for segment in panoptic.segments:
        info = taxonomy.classes[segment.class_index]
        number = _number(segment, info.is_thing, used, numbering)
        merges = (segment.class_index, number) in kept
        area = areas[segment.id]
        if info.id > numbering.max_class or info.id == void:
            number = NO_ROOM
            meaning = "means void" if info.id == void else f"is beyond {numbering.max_class}"
            report.lose(info.name, f"category id {info.id} {meaning}: void", 1, area)
        elif number == NO_ROOM:
            room = numbering.last - numbering.first + 1
            report.lose(info.name, f"more than {room} instances of a class in an image: void", 1, area)
        elif info.is_thing and not segment.is_crowd and number == numbering.crowd:
            report.lose(info.name, "instances: one crowd region per class", int(merges), 0)
        elif merges:
            kind = "crowd regions" if info.is_thing else "stuff segments"
            report.lose(info.name, f"several {kind} of a class: merged", 1, 0)
        if number == NO_ROOM:
            class_values[segment.id], numbers[segment.id], kept_ids[segment.id] = void, 0, VOID_ID
            continue
        is_crowd = info.is_thing and number == numbering.crowd
        row = kept.setdefault((segment.class_index, number), Segment(segment.id, segment.class_index, is_crowd))
        class_values[segment.id], numbers[segment.id], kept_ids[segment.id] = info.id, number, row.id
    present, position = np.unique(panoptic.ids, return_inverse=True)

    def spread(value_of: dict[int, int]) -> np.ndarray:
        return np.array([value_of[i] for i in present.tolist()])[position].reshape(panoptic.ids.shape)

    held = PanopticMap(spread(kept_ids).astype(np.int32), tuple(kept.values()))
    return spread(class_values), spread(numbers), held


def _number(segment: Segment, is_thing: bool, used: Counter, numbering: Numbering) -> int:
    if not is_thing:
        return numbering.stuff
    if segment.is_crowd or numbering.last < numbering.first:
        return numbering.crowd
    number = numbering.first + used[segment.class_index]
    used[segment.class_index] += 1
    return number if number <= numbering.last else NO_ROOM
