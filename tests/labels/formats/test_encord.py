"""Encord's label rows, against the masks of its package's COCO export."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, run, write_json
from labels.tool_folders import encord_rows
from pantile.contracts.errors import UserError

RECORDED = RECORDINGS / "encord"


@pytest.fixture
def rows(tmp_path):
    encord_rows(tmp_path / "src")
    return tmp_path / "src"


def exported(image: int) -> list[tuple[str, np.ndarray]]:
    """Class and mask of the package's export, in its order."""
    coco = json.loads((RECORDED / "coco.json").read_text())
    names = {row["id"]: row["name"] for row in coco["categories"]}
    found = []
    for row in coco["annotations"]:
        if row["image_id"] == image and names[row["category_id"]] != "wire":  # a line, which it makes a polygon
            mask = row["segmentation"]
            mask = coco_mask.merge(coco_mask.frPyObjects(mask, 30, 48)) if isinstance(mask, list) else mask
            found.append((names[row["category_id"]], coco_mask.decode(mask).astype(bool)))
    return found


def objects(data: list) -> list:
    return next(iter(data[0]["data_units"].values()))["labels"]["objects"]


def test_recorded_rows(rows, tmp_path):
    """Alone on their image, all along edges are the package's but the polygon of parts and holes.

    That one it fills with what outlines pass, and takes out of the holes what their outlines pass: 4 * 4 pixels.
    """
    data = json.loads((rows / "labels.json").read_text())
    whole = list(objects(data))
    for k, (name, wanted) in enumerate(exported(0)):
        objects(data)[:] = [whole[k]]
        write_json(data, rows / "labels.json")
        parts = len(whole[k].get("polygons", [])) > 1
        run(rows, tmp_path / f"{k}", "encord", outline="centres" if parts else None)
        (mask,) = masks_by_class(tmp_path / f"{k}", 0)[name]
        assert not (wanted & ~mask).any() and (mask & ~wanted).sum() == 16 * parts


def test_all_rows(rows, tmp_path):
    report = run(rows, tmp_path / "dst", "encord", overlap="last-on-top", stuff=("road",))
    assert_books_balance(report)
    assert report.dropped == {("wire", "shape 'polyline' has no area"): 1} and not report.left_out
    found = masks_by_class(tmp_path / "dst", 0)
    assert {name: len(masks) for name, masks in found.items()} == {"road": 1, "cat": 2, "tree": 1, "dog": 1}
    assert found["cat"][0].sum() == 12 * 10 - 4 * 4 + 6 * 7


def test_what_the_package_does_not_render(rows, tmp_path):
    """Turned boxes, ellipses and circles: areas by formula, and a turned box is longer along its slope."""
    run(rows, tmp_path / "dst", "encord", overlap="last-on-top")
    (sign,) = masks_by_class(tmp_path / "dst", 1)["sign"]
    assert abs(sign.sum() - 20 * 6) <= 3
    below, above = sign[:, 27], sign[:, 12]
    assert np.flatnonzero(below).mean() - np.flatnonzero(above).mean() == pytest.approx(15 * np.tan(np.pi / 6), abs=1)
    others = masks_by_class(tmp_path / "dst", 2)
    pond, wheel = others["pond"][0], others["wheel"][0]
    assert pond.sum() == pytest.approx(np.pi * 6 * 3, rel=0.06) and np.ptp(np.flatnonzero(pond.any(1))) == 11
    assert wheel.sum() == pytest.approx(np.pi * 8 * 4, rel=0.06) and np.ptp(np.flatnonzero(wheel.any(0))) == 15


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda data: data[0].update(data_type="video"), "only images and groups of images"),
        (lambda data: objects(data)[0]["bitmask"].update(rleString="Pn0P"), "cut short or garbled"),
        (lambda data: objects(data)[0]["bitmask"].update(height=20), "more than its 48x20 pixels"),
        (lambda data: objects(data)[0]["bitmask"].update(left=1), "beyond the 48x30 image"),
        (lambda data: objects(data)[3]["boundingBox"].update(x=16), "parts of the image"),
        (lambda data: objects(data)[1]["polygons"][0][0].pop(), "lists of rings"),
        (lambda data: objects(data)[0].pop("name"), "object 0 lacks the field 'name'"),
    ],
)
def test_what_is_wrong_is_named(rows, tmp_path, edit, problem):
    data = json.loads((rows / "labels.json").read_text())
    edit(data)
    write_json(data, rows / "labels.json")
    with pytest.raises(UserError, match=problem) as told:
        run(rows, tmp_path / "dst", "encord", overlap="last-on-top")
    assert "labels.json" in str(told.value)


def test_files_may_be_called_by_their_hash_and_rows_lie_in_files_of_their_own(rows, tmp_path):
    data = json.loads((rows / "labels.json").read_text())
    (rows / "labels.json").unlink()
    unit = next(iter(data[0]["data_units"].values()))
    (rows / "images" / "a.png").rename(rows / "images" / f"{unit['data_hash']}.png")
    unit["labels"]["objects"][0]["isDeleted"] = True
    for k, row in enumerate(data):
        write_json(row, rows / f"{k}.json")
    report = run(rows, tmp_path / "dst", "auto", overlap="last-on-top")
    assert report.images == {"train": 3} and report.dropped["road", "deleted in the tool"] == 1
