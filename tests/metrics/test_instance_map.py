"""Instances flattened into one map: a loop over pixels, worked cases, and what the measures of things make of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.mask import encode
from random_maps import CAT, DOG, SKY, TAXONOMY, panoptic

from pantile.contracts.errors import UserError
from pantile.contracts.predictions import Instance
from pantile.contracts.run_lengths import instances_of
from pantile.metrics import ThingQuality, map_of_instances

SIZE = (5, 7)


def instance(mask: np.ndarray, score: float, class_index: int = CAT) -> Instance:
    return Instance(class_index, score, encode(np.asfortranarray(mask.astype(np.uint8))))


@st.composite
def overlapping(draw) -> list[tuple[np.ndarray, float, int]]:
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        y, x = draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))
        mask = np.zeros(SIZE, bool)
        mask[y : y + draw(st.integers(1, 5)), x : x + draw(st.integers(1, 7))] = True
        rows.append((mask, draw(st.sampled_from([0.1, 0.5, 0.6, 0.9])), draw(st.sampled_from([CAT, DOG]))))
    return rows


@settings(max_examples=150, deadline=None)
@given(overlapping(), st.sampled_from([0.0, 0.5, 0.7]))
def test_each_pixel_belongs_to_the_highest_score_that_covers_it(rows, threshold):
    found = map_of_instances([instance(*row) for row in rows], SIZE, threshold)
    table = {s.id: (s.score, s.class_index) for s in found.segments}
    owners = set()
    owner_of_id = {}
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            covering = [(-score, n) for n, (mask, score, _) in enumerate(rows) if mask[y, x] and score >= threshold]
            if not covering:
                assert found.ids[y, x] == 0
                continue
            _, owner = min(covering)
            owners.add(owner)
            assert owner_of_id.setdefault(found.ids[y, x], owner) == owner
            assert table[found.ids[y, x]] == rows[owner][1:]
    assert len(found.segments) == len(owners)
    assert [s.id for s in found.segments] == list(range(1, len(owners) + 1))
    assert [s.score for s in found.segments] == sorted((s.score for s in found.segments), reverse=True)


def test_a_panoptic_map_comes_back_without_its_stuff():
    before = panoptic([[4, 4, 9, 3, 3]] * 2, (4, CAT), (9, DOG), (3, SKY))
    after = map_of_instances(instances_of(before, TAXONOMY), before.size)
    assert after.ids.tolist() == [[1, 1, 2, 0, 0]] * 2
    assert [(s.id, s.class_index) for s in after.segments] == [(1, CAT), (2, DOG)]


def test_the_threshold_decides_what_pixels_count():
    """Two right cats, a wrong dog on the sky of a low score, and a dog behind the first cat."""
    gt = panoptic([[1] * 4 + [2] * 4 + [3] * 4], (1, CAT), (2, CAT), (3, SKY))
    spans = ((0, 4, 0.9, CAT), (4, 7, 0.6, CAT), (8, 10, 0.3, DOG), (0, 3, 0.8, DOG))
    columns = np.arange(12)
    instances = [instance(((columns >= a) & (columns < b))[None], score, k) for a, b, score, k in spans]
    found = {}
    for threshold in (0.0, 0.5, 0.7):
        metric = ThingQuality(TAXONOMY)
        metric.update(map_of_instances(instances, gt.size, threshold), gt)
        found[threshold] = tuple(metric.compute().pixels)
    assert found == {0.0: (7, 2, 8), 0.5: (7, 0, 8), 0.7: (4, 0, 8)}


def test_no_instances_make_an_empty_map():
    empty = map_of_instances([], SIZE)
    assert empty.size == SIZE and not empty.ids.any() and empty.segments == ()


def test_bad_input_is_refused():
    with pytest.raises(UserError, match=r"score_threshold is 1\.5"):
        map_of_instances([], SIZE, 1.5)
    with pytest.raises(UserError, match="The image is 5 x 7 pixels but the mask of an instance is 2 x 3"):
        map_of_instances([instance(np.ones((2, 3)), 0.9)], SIZE)
