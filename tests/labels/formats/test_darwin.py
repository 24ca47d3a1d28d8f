"""Darwin's items, against the masks that its package paints."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, photo, run, write_json
from pantile.contracts.errors import UserError

RECORDED = RECORDINGS / "darwin"


@pytest.fixture
def items(tmp_path):
    shutil.copytree(RECORDED / "items", tmp_path / "src")
    for name in ("a.png", "b.png"):
        photo(tmp_path / "src" / "images" / name, (30, 48))
    return tmp_path / "src"


def same(dst, index: int, name: str) -> int:
    """Pixels of the package's class."""
    rows = [line.split(",") for line in (RECORDED / f"{name}_classes.csv").read_text().splitlines()[1:]]
    number_of = {label: int(number) for label, number in rows}
    classes = np.zeros((30, 48), dtype=int)
    for label, masks in masks_by_class(dst, index).items():
        for mask in masks:
            classes[mask] = number_of[label]
    return int((classes == np.asarray(Image.open(RECORDED / f"{name}_masks.png"))).sum())


@pytest.mark.parametrize(("outline", "polygons"), [(None, 1362), ("centres", 1428)])
def test_recorded_items(items, tmp_path, outline, polygons):
    report = run(items, tmp_path / "dst", "darwin", overlap="last-on-top", stuff=("road",), outline=outline)
    assert_books_balance(report)
    assert report.dropped == {("cat", "annotation type 'line' has no area"): 1}
    assert (same(tmp_path / "dst", 0, "a"), same(tmp_path / "dst", 1, "b")) == (polygons, 1440)
    assert [len(masks_by_class(tmp_path / "dst", k)["cat"]) for k in (0, 1)] == [2, 2]
    if outline is None:
        ring, parts = masks_by_class(tmp_path / "dst", 0)["cat"]
        assert (ring.sum(), parts.sum()) == (12 * 10 - 4 * 4, 2 * 6 * 7)


def layer(data: dict) -> dict:
    return data["annotations"][-1]["raster_layer"]


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda data: layer(data)["dense_rle"].pop(), "dense_rle"),
        (lambda data: layer(data)["dense_rle"].extend([1, 4]), "adds up to 1444 pixels"),
        (lambda data: data["item"]["slots"].append(data["item"]["slots"][0]), "no single image"),
        (lambda data: data["annotations"].append(data["annotations"][-1]), "second raster layer"),
        (lambda data: data["annotations"][0].pop("name"), "annotation 0 lacks the field 'name'"),
    ],
)
def test_what_is_wrong_is_named(items, tmp_path, edit, problem):
    data = json.loads((items / "b.json").read_text())
    edit(data)
    write_json(data, items / "b.json")
    with pytest.raises(UserError, match=problem) as told:
        run(items, tmp_path / "dst", "darwin", overlap="last-on-top")
    assert "b.json" in str(told.value)


def test_ellipses_turn_by_radians_and_boxes_do_not(items, tmp_path):
    data = json.loads((items / "a.json").read_text())
    ellipse = {"center": {"x": 24, "y": 15}, "radius": {"x": 9, "y": 4}, "angle": np.pi / 2}
    box = {"x": 1, "y": 2, "w": 5, "h": 4}
    data["annotations"] = [
        {"name": "cat", "ellipse": ellipse, "bounding_box": box},
        {"name": "tree", "bounding_box": box},
    ]
    write_json(data, items / "a.json")
    run(items, tmp_path / "dst", "darwin")
    found = masks_by_class(tmp_path / "dst", 0)
    rows = np.flatnonzero(found["cat"][0].any(axis=1))
    assert (rows[0], rows[-1]) == (6, 23) and found["tree"][0].sum() == 20
