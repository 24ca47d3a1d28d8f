"""Supervisely's projects, as the package writes and draws them, in both of its counts of coordinates."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, run, write_json
from pantile.contracts.errors import UserError

RECORDED = RECORDINGS / "supervisely"
DRAWN = np.asarray(Image.open(RECORDED / "drawn.png"))


@pytest.mark.parametrize("project", ["project", "exported"])
def test_recorded_project(tmp_path, project):
    report = run(RECORDED / project, tmp_path / "dst", "supervisely", overlap="last-on-top", stuff=("road",))
    assert_books_balance(report)
    assert report.images == {"train": 2}
    assert report.dropped == {("sign", "shape type 'line' has no area"): 1}
    assert any("fractions" in note for note in report.notes) == (project == "exported")
    street = masks_by_class(tmp_path / "dst", 1)
    assert (street["road"][0] == (DRAWN == 1)).all()
    assert (street["tree"][0] == (DRAWN == 4)).all()
    for mask, number in zip(street["cat"], (2, 3, 5, 6, 7), strict=True):
        assert (mask == (number == DRAWN)).all(), number
    names = [path.name for path in sorted((tmp_path / "dst" / "train").iterdir())]
    assert names == ["park_b.png", "street_a.png"]
    assert [c.color for c in report.taxonomy.classes] == [(90, 90, 90), (200, 0, 0), (0, 160, 0), (0, 0, 255)]


def test_data_sets_called_so_are_splits_and_objects_of_an_instance_one_segment(tmp_path):
    src = tmp_path / "src"
    shutil.copytree(RECORDED / "project", src)
    (src / "street").rename(src / "val")
    path = src / "val" / "ann" / "a.png.json"
    data = json.loads(path.read_text())
    for position in (1, 4):
        data["objects"][position]["instance"] = "one"
    write_json(data, path)
    report = run(src, tmp_path / "dst", "supervisely", overlap="last-on-top", stuff=("road",))
    assert report.images == {"train": 1, "val": 1}
    cats = masks_by_class(tmp_path / "dst", 0, "val")["cat"]
    assert len(cats) == 4 and any((mask == np.isin(DRAWN, (2, 5))).all() for mask in cats)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda data: data["objects"][0]["points"]["exterior"].__setitem__(0, ["a", 1]),
            "points has the field",
        ),
        (lambda data: data["objects"][0]["points"]["exterior"].__setitem__(0, [10**6, 1]), "far outside"),
        (lambda data: data["objects"][2]["points"]["exterior"].pop(), "1 points, not the two corners"),
        (lambda data: data["objects"][3]["bitmap"].update(data="%%"), "object 3, bitmap, data is not base64"),
        (lambda data: data["objects"][3]["bitmap"].update(data="eJzr"), "object 3, bitmap, data does not decode"),
        (lambda data: data["size"].update(width=47), "is for 47x30"),
        (lambda data: data.pop("objects"), "lacks the field 'objects'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, problem):
    src = tmp_path / "src"
    shutil.copytree(RECORDED / "project", src)
    path = src / "street" / "ann" / "a.png.json"
    data = json.loads(path.read_text())
    change(data)
    write_json(data, path)
    with pytest.raises(UserError, match=problem) as told:
        run(src, tmp_path / "dst", "supervisely", overlap="last-on-top")
    assert "a.png.json" in str(told.value)
