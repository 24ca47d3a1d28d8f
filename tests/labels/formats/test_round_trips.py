"""COCO-panoptic to every format with a writer and back: nothing changes that the format can hold."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels.tiny_labels import TAXONOMY, MapData, assert_books_balance, meaning, random_map, run
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data import CocoPanoptic, write_coco_panoptic
from pantile.labels.report import Report


def there_and_back(root: Path, maps: list[PanopticMap], target: str, taxonomy: Taxonomy = TAXONOMY):
    write_coco_panoptic(MapData(maps, taxonomy), root / "src", "train")
    report = run(root / "src", root / "there", "coco-panoptic", target)
    back = run(root / "there", root / "back", target)
    assert_books_balance(report)
    assert_books_balance(back)
    data = CocoPanoptic(root / "back", "train")
    kinds = {(c.name, c.id, c.is_thing, c.color) for c in taxonomy.classes}
    assert {(c.name, c.id, c.is_thing, c.color) for c in data.taxonomy.classes} == kinds
    return report, [meaning(data.load(k)[1], data.taxonomy) for k in range(len(data))]


@pytest.mark.parametrize("target", ["coco-panoptic", "coco-instances", "png-pairs", "two-channel"])
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=3))
@settings(max_examples=12, deadline=None)
def test_lossless(target, seeds):
    maps = [random_map(seed) for seed in seeds]
    with tempfile.TemporaryDirectory() as root:
        report, read = there_and_back(Path(root), maps, target)
    assert read == [meaning(panoptic, TAXONOMY) for panoptic in maps]
    assert not report.lost


@given(seed=st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_semantic_keeps_every_pixel_s_class(seed):
    panoptic = random_map(seed)
    with tempfile.TemporaryDirectory() as root:
        _, (read,) = there_and_back(Path(root), [panoptic], "semantic")
    expected = {}
    for segment in panoptic.segments:
        name = TAXONOMY.names[segment.class_index]
        expected.setdefault(name, []).extend(np.flatnonzero(panoptic.ids == segment.id).tolist())
    is_thing = {c.name: c.is_thing for c in TAXONOMY.classes}
    assert read == {(name, is_thing[name], tuple(sorted(pixels))) for name, pixels in expected.items()}


def strip(segments: list[Segment]) -> PanopticMap:
    return PanopticMap(np.array([[s.id for s in segments]], dtype=np.int32), tuple(segments))


def test_two_channels_hold_255_instances_and_report_the_others(tmp_path):
    panoptic = strip([Segment(k, 0) for k in range(1, 259)])
    report, (read,) = there_and_back(tmp_path, [panoptic], "two-channel")
    assert len(read) == 255
    assert report.lost == {("cat", "more than 255 instances of a class in an image: void"): [3, 3]}
    assert report.void_pixels == 3


def test_two_channels_hold_category_ids_up_to_255(tmp_path):
    classes = (
        ClassInfo("a", True, 255, (1, 1, 1)),
        ClassInfo("b", False, 256, (2, 2, 2)),
        ClassInfo("c", True, 0, (3,) * 3),
    )
    panoptic = strip([Segment(1, 0), Segment(2, 1), Segment(3, 2)])
    write_coco_panoptic(MapData([panoptic], Taxonomy(classes)), tmp_path / "src", "train")
    report = run(tmp_path / "src", tmp_path / "dst", "coco-panoptic", "two-channel")
    assert report.lost == {
        ("b", "category id 256 is beyond 255: void"): [1, 1],
        ("c", "category id 0 means void: void"): [1, 1],
    }
    assert_books_balance(report)


def test_pairs_hold_category_id_0_and_16_bits(tmp_path):
    classes = tuple(ClassInfo(str(i), i % 2 == 0, i, (1, 1, 1)) for i in (0, 1, 255, 256, 65535))
    for chosen in (classes[:2], classes[:3], classes[1:]):
        maps = [strip([Segment(k + 1, k) for k in range(len(chosen))])]
        maps[0] = PanopticMap(np.pad(maps[0].ids, 1), maps[0].segments)
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        report, (read,) = there_and_back(root, maps, "png-pairs", Taxonomy(chosen))
        assert read == meaning(maps[0], Taxonomy(chosen)) and not report.lost


@pytest.mark.parametrize("target", ["two-channel", "png-pairs"])
def test_what_merges_is_told(tmp_path, target):
    crowd = [Segment(1, 0, is_crowd=True), Segment(2, 0, is_crowd=True)]
    stuff = [Segment(3, 1), Segment(4, 1), Segment(5, 3, is_crowd=True)]
    report, (read,) = there_and_back(tmp_path, [strip(crowd + stuff)], target)
    assert read == {("cat", True, (0, 1)), ("grass", False, (2, 3)), ("sky", False, (4,))}
    assert report.lost == {
        ("cat", "several crowd regions of a class: merged"): [1, 0],
        ("grass", "several stuff segments of a class: merged"): [1, 0],
    }
    assert report.flags_dropped == {"sky": 1}


def test_images_are_copied_to_the_byte_or_linked(tmp_path):
    write_coco_panoptic(MapData([random_map(1)]), tmp_path / "src", "train")
    image = tmp_path / "src" / "train" / "image0.png"
    run(tmp_path / "src", tmp_path / "copy", "coco-panoptic")
    run(tmp_path / "src", tmp_path / "link", "coco-panoptic", "two-channel", link=True)
    copy, link = tmp_path / "copy" / "train" / "image0.png", tmp_path / "link" / "images" / "train" / "image0.png"
    assert copy.read_bytes() == image.read_bytes() and not copy.samefile(image)
    assert link.samefile(image)


def test_a_report_says_nothing_of_classes_that_lost_nothing():
    assert Report(TAXONOMY).to_dict()["lost"] == []
