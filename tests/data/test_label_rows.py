"""Label rows against naive loops over pixels."""

import numpy as np
import pytest

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.id_runs import IdRuns, box_of, runs
from pantile.data.label_rows import LabelRows, count_pixels, label_rows, renumber

TAXONOMY = plain_taxonomy(["cat", "dog", "sky", "road"], things=["cat", "dog"])


def random_ids(seed: int, shape: tuple[int, int] = (23, 31), choices: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.concatenate([[0], rng.integers(1, 2**24, choices)])
    coarse = rng.choice(values, (shape[0] // 4 + 1, shape[1] // 4 + 1))
    return np.repeat(np.repeat(coarse, 4, 0), 4, 1)[: shape[0], : shape[1]].astype(np.int32)


@pytest.mark.parametrize("seed", range(5))
def test_runs_rebuild_the_map(seed: int) -> None:
    ids = random_ids(seed)
    values, lengths = runs(ids)
    assert np.array_equal(np.repeat(values, lengths).reshape(ids.shape), ids)
    assert (values[1:] != values[:-1]).all()


@pytest.mark.parametrize("seed", range(5))
def test_count_pixels_equals_unique(seed: int) -> None:
    ids = random_ids(seed)
    expected = dict(zip(*(a.tolist() for a in np.unique(ids, return_counts=True)), strict=True))
    assert count_pixels(ids) == count_pixels(ids.ravel()) == expected


@pytest.mark.parametrize("shape", [(23, 31), (1, 40), (40, 1), (5, 3)])
def test_slices_and_boxes_hold_all_pixels_of_an_id_and_no_line_more(shape: tuple[int, int]) -> None:
    for seed in range(5):
        ids = random_ids(seed, shape)
        slices = IdRuns.of(ids).slices()
        assert list(slices) == np.unique(ids).tolist()
        for own, place in slices.items():
            y, x = np.nonzero(ids == own)
            left, top, width, height = x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1
            assert box_of(place) == [left, top, width, height]
            assert ids[place].shape == (height, width)


def test_a_map_without_pixels_has_no_runs() -> None:
    for shape in ((0, 5), (5, 0)):
        empty = IdRuns.of(np.zeros(shape, np.int32))
        assert empty.areas() == empty.slices() == {}


@pytest.mark.parametrize("seed", range(5))
def test_renumber_equals_a_loop(seed: int) -> None:
    ids = random_ids(seed)
    known = np.unique(ids)[1::2].tolist()
    new_id = {old: new + 1 for new, old in enumerate(reversed(known))}
    expected = np.array([[new_id.get(int(i), 0) for i in row] for row in ids])
    result = renumber(ids, new_id)
    assert result.dtype == np.int16
    assert np.array_equal(result, expected)
    assert not renumber(ids, {}).any()


def test_stuff_merges_and_things_and_crowd_do_not() -> None:
    ids = np.array([[10, 20, 30, 40, 50, 60, 70, 80, 0]], dtype=np.int32)
    segments = (
        Segment(10, 0),
        Segment(20, 2),
        Segment(30, 0),
        Segment(40, 2),
        Segment(50, 0, is_crowd=True),
        Segment(60, 0, is_crowd=True),
        Segment(70, 3),
        Segment(80, 3, is_crowd=True),
    )
    rows = label_rows(PanopticMap(ids, segments), TAXONOMY)
    assert rows.ids.tolist() == [[1, 2, 3, 2, 4, 5, 6, 7, 0]]
    assert rows.classes.tolist() == [0, 2, 0, 0, 0, 3, 3]
    assert rows.crowd.tolist() == [False, False, False, True, True, False, True]


def test_no_segments() -> None:
    rows = label_rows(PanopticMap(np.zeros((4, 5), np.int32), ()), TAXONOMY)
    assert not rows.ids.any()
    assert rows.classes.shape == rows.crowd.shape == rows.areas().shape == (0,)
    assert rows.keep(rows.areas() >= 1) is rows


def test_areas_and_keep() -> None:
    rows = LabelRows(
        np.array([[1, 1, 3], [0, 3, 3], [4, 0, 0]], dtype=np.int16),
        np.array([0, 1, 2, 3]),
        np.array([0, 0, 1, 0], bool),
    )
    assert rows.areas().tolist() == [2, 0, 3, 1]
    flipped = LabelRows(rows.ids[:, ::-1], rows.classes, rows.crowd)
    assert flipped.areas().tolist() == [2, 0, 3, 1]
    kept = rows.keep(rows.areas() >= 2)
    assert kept.ids.tolist() == [[1, 1, 2], [0, 2, 2], [0, 0, 0]]
    assert kept.classes.tolist() == [0, 2]
    assert kept.crowd.tolist() == [False, True]
