"""Painting against a naive loop over pixels."""

from collections import Counter
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels.tiny_labels import TAXONOMY, meaning
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.labels.overlaps import fill_gap, paint
from pantile.labels.reading.rasterise import mask_to_rle
from pantile.labels.source import ImageLabels, Layer, Shape

SIZE = (9, 11)


def random_labels(seed: int) -> tuple[ImageLabels, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    shapes, masks = [], []
    for k in range(rng.integers(0, 8)):
        top, left, height, width = rng.integers(0, 7), rng.integers(0, 9), rng.integers(1, 6), rng.integers(1, 6)
        mask = np.zeros(SIZE, dtype=bool)
        mask[top : top + height, left : left + width] = True
        class_index = int(rng.integers(0, 4))
        is_crowd = bool(rng.random() < 0.2) and TAXONOMY.classes[class_index].is_thing
        layer = Layer.STUFF_FILE if class_index == 3 and rng.random() < 0.3 else Layer.SHAPE
        group = int(rng.integers(1, 3)) if rng.random() < 0.2 else None
        shapes.append(Shape(mask_to_rle(mask), class_index, f"annotation {k}", is_crowd, group, layer))
        masks.append(mask)
    base = None
    if rng.random() < 0.5:
        ids = np.zeros(SIZE, dtype=np.int32)
        ids[:, 3:8] = 1
        base = PanopticMap(ids, (Segment(1, 1),))
    return ImageLabels(SIZE, tuple(shapes), base), masks


def naive(labels: ImageLabels, masks: list[np.ndarray], rule: str) -> tuple[set, Counter]:
    """Owners pixel by pixel: at each, all shapes that cover it are compared."""
    fresh = count()
    members: dict[tuple, list[int]] = {}
    for k, shape in enumerate(labels.shapes):
        own = "stuff" if not TAXONOMY.classes[shape.class_index].is_thing else shape.group
        key = (shape.class_index, shape.is_crowd, shape.layer, own if own is not None else f"alone {next(fresh)}")
        members.setdefault(key, []).append(k)
    segments = [(key, np.any([masks[k] for k in ks], axis=0), ks) for key, ks in members.items()]
    owner = np.full(SIZE, -1)
    decided: Counter = Counter()
    base_class = labels.base.segments[0].class_index if labels.base else None
    for y, x in np.ndindex(SIZE):
        here = [n for n, (_, mask, _) in enumerate(segments) if mask[y, x]]

        def rank(n: int) -> tuple:
            key, mask, ks = segments[n]
            if rule == "last-on-top":
                return (key[2], max(k for k in ks if masks[k][y, x]))  # noqa: B023 - called at once
            return (key[2], {"smaller-on-top": -mask.sum(), "larger-on-top": mask.sum()}[rule], max(ks))

        here.sort(key=rank)
        on_base = bool(labels.base and labels.base.ids[y, x])
        if here:
            owner[y, x] = here[-1]
            decided.update((segments[here[-1]][0][0], segments[n][0][0]) for n in here[:-1])
            if on_base:
                decided[segments[here[-1]][0][0], base_class] += 1
        elif on_base:
            owner[y, x] = len(segments)
    kinds = [(TAXONOMY.names[key[0]], key[1]) for key, _, _ in segments]
    if labels.base:
        kinds.append((TAXONOMY.names[base_class], False))
    whole = {(*kind, tuple(np.flatnonzero(owner == n).tolist())) for n, kind in enumerate(kinds) if (owner == n).any()}
    return whole, decided


@pytest.mark.parametrize("rule", ["smaller-on-top", "larger-on-top", "last-on-top"])
@given(seed=st.integers(0, 100_000))
@settings(max_examples=60, deadline=None)
def test_painting_is_the_naive_loop(rule, seed):
    labels, masks = random_labels(seed)
    painted = paint(labels, TAXONOMY, rule, "image")
    expected, decided = naive(labels, masks, rule)
    assert meaning(painted.panoptic, TAXONOMY) == expected
    assert painted.decided == decided
    areas = Counter()
    for segment in painted.panoptic.segments:
        areas[segment.class_index] += int((painted.panoptic.ids == segment.id).sum())
    for k in range(len(TAXONOMY)):
        assert painted.pixels_in[k] == areas[k] + sum(n for (_, below), n in decided.items() if below == k)
        kept = sum(s.class_index == k for s in painted.panoptic.segments)
        assert painted.segments_in[k] == kept + painted.covered[k]


def rows(first: int, last: int, class_index: int, **fields) -> Shape:
    mask = np.zeros(SIZE, dtype=bool)
    mask[first:last] = True
    return Shape(mask_to_rle(mask), class_index, f"annotation {first}", **fields)


def test_error_names_both_annotations_and_the_way_out():
    labels = ImageLabels(SIZE, (rows(0, 3, 0), rows(2, 5, 2)))
    with pytest.raises(
        UserError, match=r"a.jpg: annotation 0 \(cat\) and annotation 2 \(dog\) overlap in 11 pixels.*on"
    ):
        paint(labels, TAXONOMY, "error", "a.jpg")


@pytest.mark.parametrize("crowd_first", [True, False])
def test_a_crowd_is_drawn_like_any_shape(crowd_first):
    """It was below that file's stuff whatever the rule."""
    crowd, road = rows(2, 5, 0, is_crowd=True), rows(0, 9, 1)
    labels = ImageLabels(SIZE, (crowd, road) if crowd_first else (road, crowd))
    shown = {
        rule: (paint(labels, TAXONOMY, rule, "a.jpg").panoptic.ids[3, 0] == (1 if crowd_first else 2))
        for rule in ("last-on-top", "smaller-on-top", "larger-on-top")
    }
    assert shown == {"last-on-top": not crowd_first, "smaller-on-top": True, "larger-on-top": False}
    with pytest.raises(UserError, match="overlap in 33 pixels"):
        paint(labels, TAXONOMY, "error", "a.jpg")


def test_parts_of_one_segment_are_drawn_one_by_one():
    """A second piece of road, drawn after the car, does not lift the first one above it."""
    shapes = (rows(0, 5, 1), rows(1, 4, 0), rows(6, 8, 1))
    ids = paint(ImageLabels(SIZE, shapes), TAXONOMY, "last-on-top", "a.jpg").panoptic.ids[:, 0]
    assert (ids == [2, 1, 1, 1, 2, 0, 2, 2, 0]).all()
    grouped = (rows(0, 5, 0, group=1), rows(1, 4, 2), rows(6, 8, 0, group=1))
    assert (paint(ImageLabels(SIZE, grouped), TAXONOMY, "last-on-top", "a.jpg").panoptic.ids[:, 0] == ids).all()


def test_error_lets_touching_and_one_class_of_stuff_and_layers_pass():
    shapes = (
        rows(0, 3, 0),
        rows(3, 5, 2),
        rows(5, 8, 1),
        rows(6, 9, 1),
        rows(4, 6, 3, layer=Layer.STUFF_FILE),
    )
    painted = paint(ImageLabels(SIZE, shapes), TAXONOMY, "error", "a.jpg")
    assert painted.decided == {(2, 3): 11, (1, 3): 11}
    assert painted.covered == {3: 1}


def test_gaps_extend_the_stuff_that_is_there_or_make_a_segment():
    ids = np.zeros((2, 3), dtype=np.int32)
    ids[0] = 1
    filled, pixels = fill_gap(PanopticMap(ids, (Segment(1, 1),)), 1)
    assert pixels == 3 and (filled.ids == 1).all() and len(filled.segments) == 1
    filled, pixels = fill_gap(PanopticMap(ids, (Segment(1, 0),)), 3)
    assert filled.segments == (Segment(1, 0), Segment(2, 3)) and (filled.ids[1] == 2).all()
    full = PanopticMap(np.ones((2, 3), dtype=np.int32), (Segment(1, 0),))
    assert fill_gap(full, 3) == (full, 0)
