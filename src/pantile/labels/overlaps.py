"""Shapes that overlap become a map in which every pixel has one owner; every pixel decided is counted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_rows import count_pixels
from pantile.labels.reading.rasterise import covered_pixels, union
from pantile.labels.source import ImageLabels, Shape

VOID_CLASS = -1
RULES = ("error", "smaller-on-top", "larger-on-top", "last-on-top")


@dataclass
class Painted:
    """A map and how it came about.

    Attributes:
        panoptic: ids count from 1 in the order of the shapes, after those of the base.
        segments_in, pixels_in: per class index, before overlaps were decided.
        decided: (class on top, class below) to pixels; a pixel of n segments counts n - 1 times.
        covered: class index to segments that have no pixel left.
        joined: class index to shapes that are further parts of a segment.

    Void regions have the class index -1.
    """

    panoptic: PanopticMap
    segments_in: Counter = field(default_factory=Counter)
    pixels_in: Counter = field(default_factory=Counter)
    decided: Counter = field(default_factory=Counter)
    covered: Counter = field(default_factory=Counter)
    joined: Counter = field(default_factory=Counter)


def paint(labels: ImageLabels, taxonomy: Taxonomy, rule: str, where: str) -> Painted:
    """The map of an image.

    Shapes of one group, and of one stuff class, are one segment; where they meet is no overlap. Layers (see
    ``source.Layer``) are painted in order; the rule decides within a layer, for crowd as for all other shapes.
    A region that is declared void takes pixels as any other, and leaves them void.
    ``last-on-top`` paints shape by shape, as the file draws them; the rules of size compare whole segments, and between
    equal areas the one whose last shape comes later is on top.

    Args:
        labels: what the reader gave.
        taxonomy: of the source.
        rule: one of ``RULES``.
        where: the image, for messages.

    Raises:
        UserError: the rule is ``error`` and two segments of a layer overlap.
    """
    base = labels.base or PanopticMap(np.zeros(labels.size, dtype=np.int32), ())
    members = group_shapes(labels.shapes, taxonomy)
    if not members:
        painted = Painted(base)
        _count_in(painted, base)
        return painted
    segments = [_whole([labels.shapes[k] for k in own]) for own in members]
    first_id = max((s.id for s in base.segments), default=0) + 1
    ids = base.ids.T.astype(np.int64).ravel()  # down the columns, as run lengths go
    pixels = [covered_pixels(segment.mask) for segment in segments]
    layer_of = np.full(first_id + len(segments), -1)
    for position, own in _strokes(labels.shapes, members, segments, pixels, rule):
        if rule == "error":
            _refuse_overlap(ids[own], layer_of, segments[position], segments, first_id, taxonomy, where)
        ids[own] = first_id + position
        layer_of[first_id + position] = segments[position].layer

    numbered = [(first_id + k, shape) for k, shape in enumerate(segments)]
    drawn = [Segment(i, shape.class_index, shape.is_crowd) for i, shape in numbered if shape.class_index is not None]
    rows = [*base.segments, *drawn]
    present = count_pixels(ids)
    painted_ids = np.ascontiguousarray(ids.reshape(labels.size[::-1]).T, dtype=np.int32)
    void = [i for i, shape in numbered if shape.class_index is None]
    without_void = np.where(np.isin(painted_ids, void), VOID_ID, painted_ids) if void else painted_ids
    painted = Painted(PanopticMap(without_void, tuple(row for row in rows if row.id in present)))
    _count_in(painted, base)
    class_of = np.full(first_id + len(segments), VOID_CLASS, dtype=np.int64)
    class_of[[row.id for row in rows]] = [row.class_index for row in rows]
    for row in base.segments:
        _count_losses(painted, painted_ids[base.ids == row.id], row.id, class_of)
    for position, shape in enumerate(segments):
        if shape.class_index is None:
            continue
        painted.segments_in[shape.class_index] += 1
        painted.joined[shape.class_index] += len(members[position]) - 1
        painted.pixels_in[shape.class_index] += len(pixels[position])
        _count_losses(painted, ids[pixels[position]], first_id + position, class_of)
    painted.covered.update(row.class_index for row in rows if row.id not in present)
    return painted


def group_shapes(shapes: Sequence[Shape], taxonomy: Taxonomy) -> list[list[int]]:
    """Positions of the shapes of each segment: of one group, of one stuff class, or one alone; by their last shape."""
    groups: dict[tuple, list[int]] = {}
    for position, shape in enumerate(shapes):
        is_stuff = shape.class_index is not None and not taxonomy.classes[shape.class_index].is_thing
        alone = ("alone", position) if shape.group is None else ("group", shape.group)
        key = (shape.class_index, shape.is_crowd, shape.layer, ("stuff",) if is_stuff else alone)
        groups[key] = [*groups.pop(key, []), position]
    return list(groups.values())


def _whole(members: list[Shape]) -> Shape:
    return members[-1] if len(members) == 1 else replace(members[-1], mask=union([own.mask for own in members]))


def _strokes(
    shapes: Sequence[Shape], members: list[list[int]], segments: list[Shape], pixels: list[np.ndarray], rule: str
) -> Iterator[tuple[int, np.ndarray]]:
    """What is painted, from the lowest to the topmost: position of a segment, and pixels of it. Sorts are stable."""
    if rule == "last-on-top":
        segment_of = {k: position for position, own in enumerate(members) for k in own}
        for k in sorted(segment_of, key=lambda k: (shapes[k].layer, k)):
            own = segment_of[k]
            yield own, pixels[own] if len(members[own]) == 1 else covered_pixels(shapes[k].mask)
        return
    sign = {"smaller-on-top": -1, "larger-on-top": 1}.get(rule, 0)
    for own in sorted(range(len(segments)), key=lambda k: (segments[k].layer, sign * len(pixels[k]))):
        yield own, pixels[own]


def fill_gap(panoptic: PanopticMap, class_index: int) -> tuple[PanopticMap, int]:
    """Void becomes the stuff class: its segment grows, or a new one is made.

    Returns:
        The map and the number of pixels filled.
    """
    void = panoptic.ids == VOID_ID
    pixels = int(void.sum())
    if not pixels:
        return panoptic, 0
    own = [s for s in panoptic.segments if s.class_index == class_index and not s.is_crowd]
    segment = own[0] if own else Segment(_free_id(panoptic), class_index)
    ids = np.where(void, segment.id, panoptic.ids).astype(np.int32)
    return PanopticMap(ids, panoptic.segments if own else (*panoptic.segments, segment)), pixels


def _free_id(panoptic: PanopticMap) -> int:
    used = {s.id for s in panoptic.segments}
    return next(k for k in range(1, len(used) + 2) if k not in used)


def _refuse_overlap(
    below: np.ndarray,
    layer_of: np.ndarray,
    shape: Shape,
    segments: list[Shape],
    first_id: int,
    taxonomy: Taxonomy,
    where: str,
) -> None:
    rivals = below[layer_of[below] == shape.layer]
    if not len(rivals):
        return
    other = segments[int(rivals[0]) - first_id]
    classes = [*taxonomy.names, "void"]
    names = [f"{s.what} ({classes[VOID_CLASS if s.class_index is None else s.class_index]})" for s in (other, shape)]
    raise UserError(
        f"{where}: {names[0]} and {names[1]} overlap in {int((rivals == rivals[0]).sum())} pixels: say which is on top "
        "with --overlap smaller-on-top, larger-on-top or last-on-top, or correct the labels."
    )


def _count_in(painted: Painted, base: PanopticMap) -> None:
    pixels = count_pixels(base.ids)
    for row in base.segments:
        painted.segments_in[row.class_index] += 1
        painted.pixels_in[row.class_index] += pixels[row.id]


def _count_losses(painted: Painted, owners: np.ndarray, own_id: int, class_of: np.ndarray) -> None:
    """``owners``: the final ids of all pixels that a segment covered."""
    lost = owners[owners != own_id]
    for winner, pixels in zip(*np.unique(lost, return_counts=True), strict=True):
        painted.decided[int(class_of[winner]), int(class_of[own_id])] += int(pixels)
