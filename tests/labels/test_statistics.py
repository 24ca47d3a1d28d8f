"""Counting labels, against loops over single pixels and numbers worked out by hand."""

import json

import numpy as np
import pytest

from labels.tiny_labels import TAXONOMY, MapData, random_map
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.data import CocoPanoptic, Scenes, write_coco_panoptic
from pantile.labels.statistics import Spread, count_labels, size_of


def hand_made() -> MapData:
    """cat (thing), grass (stuff, twice), dog crowd, and void; then an empty image."""
    ids = np.zeros((40, 50), dtype=np.int32)
    ids[:32, :32] = 5  # exactly 32 x 32: no longer small
    ids[32:40, :25], ids[32:40, 25:50] = 9, 10
    ids[0, 40:45] = 11
    rows = (Segment(5, 0), Segment(9, 1), Segment(10, 1), Segment(11, 2, is_crowd=True))
    return MapData([PanopticMap(ids, rows), PanopticMap(np.zeros((3, 4), np.int32), ())])


def test_by_hand():
    result = count_labels(hand_made())
    cat, grass, dog, sky = result.per_class
    assert (cat.pixels, cat.images, cat.segments, cat.crowd, dict(cat.sizes)) == (1024, 1, 1, 0, {"medium": 1})
    assert (grass.pixels, grass.images, grass.segments, dict(grass.sizes)) == (400, 1, 2, {"small": 2})
    assert (dog.pixels, dog.images, dog.segments, dog.crowd, dict(dog.sizes)) == (5, 1, 0, 1, {})
    assert (sky.pixels, sky.images, sky.segments) == (0, 0, 0)
    assert result.segments == [3, 0] and result.targets == [2, 0]
    assert (result.pixels, result.void_pixels, result.without_segment) == (2012, 2012 - 1429, 1)
    assert result.image_sizes == {(40, 50): 1, (3, 4): 1}
    assert result.over(1) == (1, 1) and result.over(2) == (0, 0)


def test_against_a_loop_over_pixels():
    maps = [random_map(seed) for seed in range(12)]
    result = count_labels(MapData(maps))
    for k in range(len(TAXONOMY)):
        pixels = segments = images = crowd = 0
        for panoptic in maps:
            own = {s.id: s for s in panoptic.segments if s.class_index == k}
            pixels += sum(int(value) in own for value in panoptic.ids.ravel())
            segments += sum(not s.is_crowd for s in own.values())
            crowd += sum(s.is_crowd for s in own.values())
            images += bool(own)
        counts = result.per_class[k]
        assert (counts.pixels, counts.segments, counts.images, counts.crowd) == (pixels, segments, images, crowd)
    assert result.void_pixels == sum(int((panoptic.ids == 0).sum()) for panoptic in maps)


def test_files_and_memory_agree(tmp_path):
    scenes = Scenes(3, size=(65, 80), seed=2)
    write_coco_panoptic(scenes, tmp_path, "train")
    opened = CocoPanoptic(tmp_path, "train")
    from_files = count_labels(opened)
    assert from_files.to_dict() == count_labels(scenes).to_dict()
    assert from_files.segments == opened.segment_counts()


def test_sizes_end_where_cocos_do():
    assert [size_of(area) for area in (1, 1023, 1024, 9215, 9216)] == ["small", "small", "medium", "medium", "large"]


def test_percentiles():
    assert Spread.of(list(range(1, 102))) == Spread(51.0, 96.0, 101)
    assert Spread.of([]) == Spread(0.0, 0.0, 0)


def test_json(tmp_path):
    result = count_labels(hand_made())
    result.write(tmp_path / "new" / "stats.json", queries=1)
    data = json.loads((tmp_path / "new" / "stats.json").read_text())
    assert data["queries"] == {"queries": 1, "images_over": 1, "targets_over": 1}
    assert data["segments_per_image"] == {"p50": 1.5, "p95": pytest.approx(2.85), "max": 3}
    assert data["classes"][1] == {
        "name": "grass",
        "isthing": 0,
        "images": 1,
        "segments": 2,
        "crowd": 0,
        "pixels": 400,
        "small": 2,
        "medium": 0,
        "large": 0,
    }
    assert data["segment_sizes"] == {"small": 2, "medium": 1, "large": 0}
    assert data["void_share"] == pytest.approx((2012 - 1429) / 2012)


def test_a_split_without_images():
    data = count_labels(MapData([])).to_dict(queries=5)
    assert data["images"] == 0 and data["void_share"] == 0 and data["queries"]["images_over"] == 0
