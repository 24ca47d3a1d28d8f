"""Label Studio's JSON, as label-studio-sdk takes and renders it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, run, write_json
from pantile.contracts.errors import UserError
from pantile.labels.reading.label_studio_rle import decode_brush, encode_brush

RECORDED = RECORDINGS / "label_studio"
SIZE = (30, 48)


def by_coco(outline: list[float]) -> np.ndarray:
    return coco_mask.decode(coco_mask.frPyObjects([np.round(outline, 6).tolist()], *SIZE))[..., 0].astype(bool)


def test_recorded_export(tmp_path):
    report = run(RECORDED / "export.json", tmp_path / "dst", "label-studio", overlap="last-on-top", stuff=("road",))
    assert_books_balance(report)
    assert report.images == {"train": 3}
    assert report.dropped == {
        ("tree", "second label of a region of cat"): 1,
        ("cat", "region type 'keypoint' has no area"): 1,
        ("road", "another annotation of the same image"): 1,
    }
    yard = masks_by_class(tmp_path / "dst", 0)
    brush = np.asarray(Image.open(RECORDED / "brush.png")) > 0
    outlines = json.loads((RECORDED / "outlines.json").read_text())
    road, polygon = map(by_coco, outlines["polygons"])
    turned = by_coco(np.ravel(outlines["turned"]).tolist())
    assert (yard["road"][0] == (road & ~turned)).all()
    assert (yard["tree"][0] == turned).all()
    first, second = yard["cat"]
    assert (first == (polygon & ~turned)).all() and (second == brush).all()
    gate = masks_by_class(tmp_path / "dst", 1)
    assert (gate["tree"][0] == by_coco([2, 3, 12, 3, 12, 8, 2, 8])).all()
    (ellipse,) = gate["cat"]
    assert ellipse.sum() == pytest.approx(np.pi * 9 * 4, rel=0.05)
    rows, columns = np.nonzero(ellipse)
    assert (rows.mean(), columns.mean()) == pytest.approx((11.5, 29.5), abs=0.3)
    assert np.cov(rows, columns)[0, 1] > 5  # turned clockwise
    assert masks_by_class(tmp_path / "dst", 2) == {}


def test_every_brush_comes_back():
    recorded = json.loads((RECORDED / "export.json").read_text())[0]["annotations"][0]["result"][3]["value"]["rle"]
    mask = np.asarray(Image.open(RECORDED / "brush.png")) > 0
    assert (decode_brush(bytes(recorded), SIZE, "brush") == mask).all()
    written = encode_brush(mask)
    assert written[: len(recorded)] == recorded[: len(written)]  # the package adds a byte where none is needed


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
@settings(max_examples=8, deadline=None)
def test_brushes_there_and_back(seed, share):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 40, 2)) < share
    assert (decode_brush(bytes(encode_brush(mask)), mask.shape, "brush") == mask).all()


def test_long_brushes():
    mask = np.zeros((300, 200), dtype=bool)
    mask[150:] = True
    assert (decode_brush(bytes(encode_brush(mask)), mask.shape, "brush") == mask).all()


@pytest.fixture
def export(tmp_path):
    shutil.copytree(RECORDED / "images", tmp_path / "src" / "images")
    data = json.loads((RECORDED / "export.json").read_text())

    def write(change) -> Path:
        change(data)
        write_json(data, tmp_path / "src" / "export.json")
        return tmp_path / "src"

    return write


def first_regions(data: list) -> list:
    return data[0]["annotations"][0]["result"]


def test_photos_by_their_own_names(export, tmp_path):
    src = export(lambda data: None)
    for path in (src / "images").iterdir():
        path.rename(path.with_name(path.name[9:]))
    run(src, tmp_path / "dst", "label-studio", overlap="last-on-top")
    assert (tmp_path / "dst" / "train" / "images_yard.png").is_file()


def test_the_newest_annotation_counts_unless_one_is_the_truth(export, tmp_path):
    def add(data):
        task = data[1]
        older = task["annotations"][0]
        older["created_at"] = "2026-01-01T00:00:00Z"
        newer = {"id": 99, "created_at": "2026-02-01T00:00:00Z", "result": older["result"][:1], "was_cancelled": False}
        task["annotations"].append(newer)

    src = export(add)
    run(src, tmp_path / "dst", "label-studio", overlap="last-on-top")
    assert list(masks_by_class(tmp_path / "dst", 1)) == ["cat"]
    export(lambda data: data[1]["annotations"][0].update(ground_truth=True))
    run(src, tmp_path / "truth", "label-studio", overlap="last-on-top")
    assert sorted(masks_by_class(tmp_path / "truth", 1)) == ["cat", "tree"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data.clear(), "not a list of tasks"),
        (lambda data: data[0].pop("data"), "JSON-MIN"),
        (
            lambda data: first_regions(data)[3]["value"]["rle"].__delitem__(slice(20, None)),
            "rle has run lengths that are",
        ),
        (lambda data: first_regions(data)[3]["value"]["rle"].__setitem__(3, 7), "rle has run lengths of"),
        (lambda data: first_regions(data)[0].update(image_rotation=90), "result 0 was drawn on an image turned"),
        (lambda data: first_regions(data)[0].update(original_width=47), "result 1 is for another size of image"),
        (lambda data: first_regions(data)[2]["value"].pop("width"), "result 2, value lacks the field 'width'"),
        (lambda data: data[0]["data"].update(image="../.."), "0 addresses of images"),
    ],
)
def test_what_is_wrong_is_named(export, tmp_path, change, problem):
    src = export(change)
    with pytest.raises(UserError, match=problem) as told:
        run(src, tmp_path / "dst", "label-studio", overlap="last-on-top")
    assert "export.json" in str(told.value)
