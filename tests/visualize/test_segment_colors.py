"""Colours of segments: stable, of the class's hue, and different where segments touch."""

from dataclasses import replace

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.visualize.colors import rgb_to_oklab, segment_colors, segment_rows, shades


def cells(count: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W) int32: every pixel has the id (from 1) of the nearest of some random points."""
    points = np.random.default_rng(1).random((count, 2)) * size
    rows, columns = np.mgrid[: size[0], : size[1]]
    away = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return (away.argmin(axis=-1) + 1).astype(np.int32)


@pytest.mark.parametrize(
    ("rgb", "lightness", "chroma", "hue"),
    [((255, 0, 0), 0.628, 0.2577, 29.23), ((0, 0, 255), 0.452, 0.3132, 264.05), ((0, 255, 0), 0.8664, 0.2948, 142.5)],
)
def test_oklab_equals_the_published_values_of_the_primaries(rgb, lightness, chroma, hue):
    level, a, b = rgb_to_oklab(np.array(rgb))
    assert level == pytest.approx(lightness, abs=1e-3)
    assert np.hypot(a, b) == pytest.approx(chroma, abs=1e-3)
    assert np.degrees(np.arctan2(b, a)) % 360 == pytest.approx(hue, abs=0.1)


@pytest.mark.parametrize("rgb", [(70, 200, 230), (220, 40, 40), (50, 150, 50), (170, 60, 200), (0, 0, 110)])
def test_shades_keep_the_hue_and_differ_from_each_other(rgb):
    lab = rgb_to_oklab(np.array(shades(rgb)))
    _, a, b = rgb_to_oklab(np.array(rgb))
    turn = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]) - np.arctan2(b, a))
    assert np.abs((turn + 180) % 360 - 180).max() < 12
    gaps = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[~np.eye(len(lab), dtype=bool)]
    assert gaps.min() > 0.03


@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (128, 128, 128)])
def test_colours_without_hue_still_give_distinct_shades(rgb):
    assert len(set(shades(rgb))) == len(shades(rgb)) == 10


def test_stuff_has_the_class_colour_and_void_and_crowd_their_own(scene, taxonomy):
    colors = segment_colors(scene, taxonomy)
    assert set(colors) == {0, 3, 7, 12, 255, 9_000_001}
    assert colors[7] == (150, 130, 90)
    assert colors[9_000_001] == (130, 70, 140)
    assert colors[3] in shades((70, 200, 230))
    assert colors[255] not in (*shades((220, 40, 40)), (220, 40, 40), colors[0])
    assert len(set(colors.values())) == len(colors)


def test_colours_do_not_depend_on_the_order_of_the_table(scene, taxonomy):
    shuffled = PanopticMap(scene.ids, scene.segments[::-1])
    assert segment_colors(shuffled, taxonomy) == segment_colors(scene, taxonomy)
    crowded, table = cells(60, (50, 70)), [Segment(i, i % 2) for i in range(1, 61)]
    forwards = segment_colors(PanopticMap(crowded, tuple(table)), taxonomy)
    assert segment_colors(PanopticMap(crowded, tuple(table[::-1])), taxonomy) == forwards


def test_a_segment_keeps_its_colour_when_the_map_moves_or_others_vanish(taxonomy):
    ids = np.zeros((60, 200), dtype=np.int32)
    for number in range(1, 5):
        ids[20:40, 40 * number : 40 * number + 20] = number
    segments = tuple(Segment(number, 0) for number in range(1, 5))
    whole = segment_colors(PanopticMap(ids, segments), taxonomy)
    moved = segment_colors(PanopticMap(np.roll(ids, (5, 7), (0, 1)), segments), taxonomy)
    alone = segment_colors(PanopticMap(np.where(ids == 3, 3, 0), (Segment(3, 0),)), taxonomy)
    assert moved == whole
    assert alone[3] == whole[3]


def test_two_hundred_touching_instances_of_one_class_look_different(taxonomy):
    ids = cells(200, (120, 160))
    colors = segment_colors(PanopticMap(ids, tuple(Segment(i, 0) for i in range(1, 201))), taxonomy)
    touching = set()
    for y in range(ids.shape[0] - 1):
        for x in range(ids.shape[1] - 1):
            touching |= {(ids[y, x], ids[y, x + 1]), (ids[y, x], ids[y + 1, x])}
    gaps = [
        np.linalg.norm(rgb_to_oklab(np.array(colors[a])) - rgb_to_oklab(np.array(colors[b])))
        for a, b in touching
        if a != b
    ]
    assert len(gaps) > 500
    assert min(gaps) > 0.04  # twice what is just visible


def test_a_thing_avoids_the_colour_of_the_stuff_around_it(taxonomy):
    like_a_window = shades((70, 200, 230))[(3 * 2654435761 >> 16) % 10]  # what id 3 would have by itself
    wall = taxonomy.classes[2].__class__("wall", False, 6, like_a_window)
    alike = taxonomy.__class__((*taxonomy.classes[:2], wall))
    ids = np.full((20, 20), 8)
    ids[5:15, 5:15] = 3
    alone = segment_colors(PanopticMap(np.where(ids == 3, 3, 0), (Segment(3, 0),)), alike)
    amid = segment_colors(PanopticMap(ids, (Segment(3, 0), Segment(8, 2))), alike)
    assert alone[3] == like_a_window
    assert np.linalg.norm(rgb_to_oklab(np.array(amid[3])) - rgb_to_oklab(np.array(amid[8]))) > 0.08


@pytest.mark.parametrize("small", [False, True])
def test_rows_of_segments_match_a_loop_and_unlisted_ids_are_void(scene, small):
    """Ids as large as COCO's, and as predictions have them."""
    numbers = {int(i): k if small else int(i) for k, i in enumerate(np.unique(scene.ids))}
    segments = tuple(replace(s, id=numbers[s.id]) for s in scene.segments if s.id != 12)
    ids = np.vectorize(numbers.__getitem__)(scene.ids).astype(np.int32)
    without = PanopticMap(ids, segments)
    row_of = {segment.id: row for row, segment in enumerate(without.segments, start=1)}
    expected = [[row_of.get(int(i), 0) for i in line] for line in without.ids]
    assert segment_rows(without).tolist() == expected


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
def test_zero_segments(taxonomy, dtype):
    empty = PanopticMap(np.zeros((4, 5), dtype=dtype), ())
    assert list(segment_colors(empty, taxonomy)) == [0]
    assert not segment_rows(empty).any()


def test_a_class_outside_the_taxonomy_is_refused(taxonomy):
    with pytest.raises(UserError, match="Segment 1 has class index 9, but the taxonomy has 4 classes"):
        segment_colors(PanopticMap(np.ones((2, 2), dtype=np.int32), (Segment(1, 9),)), taxonomy)
