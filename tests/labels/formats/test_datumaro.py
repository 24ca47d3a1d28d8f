"""datumaro's own JSON, against the masks that it makes of the same annotations."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, run, write_json
from pantile.contracts.errors import UserError

RECORDED = RECORDINGS / "datumaro"


def painted(name: str) -> np.ndarray:
    return np.asarray(Image.open(RECORDED / "masks" / name)).astype(int) @ [1, 256, 65536]


def test_recorded_data_set(tmp_path):
    report = run(RECORDED / "json", tmp_path / "dst", "datumaro", overlap="last-on-top", stuff=("road",))
    assert_books_balance(report)
    assert report.images == {"train": 2, "val": 1}
    assert report.dropped == {("cat", "annotation type 'polyline' has no area"): 1}
    assert [(c.name, c.id) for c in report.taxonomy.classes] == [("road", 1), ("cat", 2), ("tree", 3)]
    assert report.crowd_of(2) == (1, 96)
    found = masks_by_class(tmp_path / "dst", 0)
    ellipse = found["cat"].pop()
    assert ellipse.sum() == pytest.approx(np.pi / 4 * 11 * 8, rel=0.06)
    crowd = found["tree"].pop()
    classes, objects = painted("SegmentationClass/a.png"), painted("SegmentationObject/a.png")
    seen = ~crowd & ~ellipse  # which the masks do not have
    names = {"road": 90 + 90 * 256 + 90 * 65536, "cat": 200, "tree": 160 * 256}
    for name, masks in found.items():
        numbers = np.unique(objects[classes == names[name]])
        wanted = {((objects == number) & seen).tobytes() for number in numbers}
        assert {(mask & seen).tobytes() for mask in masks} == wanted, name


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(RECORDED / "json", tmp_path / "src")
    path = tmp_path / "src" / "annotations" / "train.json"

    def change(edit):
        data = json.loads(path.read_text())
        edit(data)
        write_json(data, path)
        return tmp_path / "src"

    return change


def test_one_subset_alone(copy, tmp_path):
    src = copy(lambda data: None)
    run(src / "annotations" / "val.json", tmp_path / "dst", "datumaro", overlap="last-on-top")
    assert [path.name for path in (tmp_path / "dst" / "val").iterdir()] == ["images_val_c.jpg"]


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda data: data["categories"]["label"]["labels"].pop(), "has other labels than"),
        (lambda data: data["items"][0].pop("image"), "item 0 has no 'image'"),
        (lambda data: data["items"][0]["image"].update(size=[30]), "'size'"),
        (lambda data: data["items"][0]["annotations"][0]["points"].pop(), "annotation 0 has the field 'points'"),
        (lambda data: data["items"][0]["annotations"][1].pop("rle"), "annotation 1 lacks the field 'rle'"),
        (lambda data: data["items"][0]["annotations"][4].update(bbox=[1, 2]), "4 numbers"),
    ],
)
def test_what_is_wrong_is_named(copy, tmp_path, edit, problem):
    with pytest.raises(UserError, match=problem):
        run(copy(edit), tmp_path / "dst", "datumaro", overlap="last-on-top")
