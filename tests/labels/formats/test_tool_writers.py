"""COCO-panoptic to the formats of annotation tools and back: pixels, classes and things stay, crowd is reported."""

import json
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from labels.tiny_labels import TAXONOMY, MapData, assert_books_balance, meaning, random_map, run
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.data import CocoPanoptic, write_coco_panoptic
from pantile.labels.writing.edge_outlines import edge_outline

TARGETS = ("label-studio", "cvat", "labelme", "yolo-seg")
STUFF = tuple(own.name for own in TAXONOMY.classes if not own.is_thing)


def there(root: Path, maps: list[PanopticMap], target: str):
    write_coco_panoptic(MapData(maps), root / "src", "train")
    report = run(root / "src", root / "there", "coco-panoptic", target)
    assert_books_balance(report)
    return report


def and_back(root: Path, target: str) -> tuple[CocoPanoptic, list[set]]:
    told = {"stuff": STUFF} if target == "yolo-seg" else {"classes": root / "there" / "classes.json"}
    assert_books_balance(run(root / "there", root / "back", target, **told))
    data = CocoPanoptic(root / "back", "train")
    return data, [meaning(data.load(k)[1], data.taxonomy) for k in range(len(data))]


@pytest.mark.parametrize("target", TARGETS)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=2))
@settings(max_examples=3, deadline=None)
def test_everything_but_crowd_comes_back(target, seeds):
    maps = [random_map(seed) for seed in seeds]
    with tempfile.TemporaryDirectory() as folder:
        report = there(Path(folder), maps, target)
        data, read = and_back(Path(folder), target)
    assert read == [{own for own in meaning(panoptic, TAXONOMY) if not own[1]} for panoptic in maps]
    kept = [(own.name, own.is_thing) for own in data.taxonomy.classes]
    assert kept == [(own.name, own.is_thing) for own in TAXONOMY.classes]
    if target != "yolo-seg":
        assert data.taxonomy == TAXONOMY
    crowd = sum(own.is_crowd for panoptic in maps for own in panoptic.segments)
    assert sum(n for n, _ in report.lost.values()) == crowd


@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 1))
@settings(max_examples=12, deadline=None)
def test_coco_fills_an_outline_with_its_pixels(seed, share):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 12, 2)) < share
    mask.flat[0] |= not mask.any()
    flat = np.array(edge_outline(mask), dtype=float).ravel().tolist()
    assert (coco_mask.decode(coco_mask.frPyObjects([flat], *mask.shape))[..., 0] == mask).all()


def test_a_square_has_four_corners():
    mask = np.zeros((6, 7), dtype=bool)
    mask[1:4, 2:6] = True
    assert edge_outline(mask) == [(2, 1), (6, 1), (6, 4), (2, 4)]


@pytest.fixture
def one_cat(tmp_path):
    ids = np.zeros((4, 5), dtype=np.int32)
    ids[1:3, 1:4] = 1
    ids[1, 1] = 0

    def write(target: str) -> Path:
        there(tmp_path, [PanopticMap(ids, (Segment(1, 0),))], target)
        return tmp_path / "there"

    return write


def test_label_studio_gets_pre_annotations(one_cat):
    root = one_cat("label-studio")
    (task,) = json.loads((root / "train.json").read_text())
    assert task["data"] == {"image": "/data/local-files/?d=images/train/image0.png"}
    (region,) = task["predictions"][0]["result"]
    controls = ElementTree.parse(root / "labeling_config.xml").getroot()
    assert controls.find("BrushLabels").get("name") == region["from_name"]
    assert [own.get("value") for own in controls.iter("Label")] == list(TAXONOMY.names)
    assert (region["original_width"], region["original_height"]) == (5, 4)


def test_cvat_gets_masks_along_rows(one_cat):
    top = ElementTree.parse(one_cat("cvat") / "annotations.xml").getroot()
    (mask,) = top.iterfind("image/mask")
    wanted = {"label": "cat", "rle": "1, 5", "left": "1", "top": "1", "width": "3", "height": "2"}
    assert {key: mask.get(key) for key in wanted} == wanted
    assert top.find("image").get("subset") == "train"


def test_labelme_gets_masks_in_boxes(one_cat):
    data = json.loads((one_cat("labelme") / "train" / "image0.json").read_text())
    (shape,) = data["shapes"]
    assert (shape["label"], shape["shape_type"], shape["points"]) == ("cat", "mask", [[1, 1], [3, 2]])


def test_yolo_gets_shares(one_cat):
    row = (one_cat("yolo-seg") / "labels" / "train" / "image0.txt").read_text()
    corners = [(2, 1), (4, 1), (4, 3), (1, 3), (1, 2), (2, 2)]
    numbers = [float(value) for value in row.split()]
    assert numbers[0] == 0
    assert set(zip(numbers[1::2], numbers[2::2], strict=True)) == {(x / 5, y / 4) for x, y in corners}
