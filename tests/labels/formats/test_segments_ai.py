"""Segments.ai's releases, with bitmaps as its package downloads them and as its server has them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, run, save, write_json
from pantile.contracts.errors import UserError

RECORDED = RECORDINGS / "segments_ai"
DOWNLOADED = RECORDED / "segments" / "owner_yard" / "v1"


def expected(index: int) -> dict[str, list[np.ndarray]]:
    """What the package exports as COCO-panoptic."""
    data = json.loads((RECORDED / "coco_panoptic" / "export_coco-panoptic_owner_yard_v1.json").read_text())
    names = {row["id"]: row["name"] for row in data["categories"]}
    annotation = data["annotations"][index]
    pixels = np.asarray(Image.open(DOWNLOADED / annotation["file_name"])).astype(int)
    ids = pixels @ [1, 256, 65536]
    found: dict[str, list[np.ndarray]] = {}
    for row in annotation["segments_info"]:
        found.setdefault(names[row["category_id"]], []).append(ids == row["id"])
    return found


def assert_expected(dst):
    for index in (0, 1):
        found, wanted = masks_by_class(dst, index), expected(index)
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert {m.tobytes() for m in found[name]} == {m.tobytes() for m in wanted[name]}, name


def test_a_release_with_its_downloads(tmp_path):
    src = tmp_path / "src"
    src.mkdir()
    shutil.copy(RECORDED / "yard-v1.json", src)
    shutil.copytree(DOWNLOADED, src / "segments" / "owner_yard" / "v1")
    report = run(src, tmp_path / "dst", "segments-ai")
    assert_books_balance(report)
    assert not report.dropped
    assert "1 samples have no label in the labelset 'ground-truth' and were left out." in report.notes
    assert [(c.name, c.id, c.is_thing) for c in report.taxonomy.classes] == [
        ("road", 0, False),
        ("cat", 1, True),
        ("tree", 7, True),
    ]
    assert_expected(tmp_path / "dst")


@pytest.fixture
def raw(tmp_path):
    """The release with bitmaps as they lie on the server."""
    src = tmp_path / "src"
    src.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(DOWNLOADED / name, src)
    for name in ("a_bitmap.png", "b_bitmap.png", "yard-v1.json"):
        shutil.copy(RECORDED / name, src)
    return src


def change(src, edit):
    path = src / "yard-v1.json"
    data = json.loads(path.read_text())
    edit(data["dataset"])
    write_json(data, path)


def rows(dataset: dict) -> list:
    return dataset["samples"][0]["labels"]["ground-truth"]["attributes"]["annotations"]


def test_bitmaps_of_the_server(raw, tmp_path):
    run(raw, tmp_path / "dst", "segments-ai")
    assert_expected(tmp_path / "dst")


def test_what_is_only_in_the_bitmap_or_only_in_the_table_is_told(raw, tmp_path):
    change(raw, lambda dataset: rows(dataset).__setitem__(3, {"id": 9, "category_id": 1}))
    change(raw, lambda dataset: rows(dataset).append({"id": 10, "category_id": 44}))
    report = run(raw, tmp_path / "dst", "segments-ai")
    assert report.dropped == {
        ("cat", "covers no pixel"): 1,
        ("category 44", "class not in the list of classes"): 1,
        ("(unknown)", "number without an annotation"): 1,
    }


def test_vectors(raw, tmp_path):
    def edit(dataset):
        dataset["task_type"] = "vector"
        polygon = {"id": 1, "category_id": 1, "type": "polygon", "points": [[2, 1], [6, 1], [6, 4], [2, 4]]}
        box = {"id": 2, "category_id": 7, "type": "bbox", "points": [[20, 9], [12, 5]]}
        line = {"id": 3, "category_id": 7, "type": "polyline", "points": [[20, 9], [12, 5]]}
        dataset["samples"][0]["labels"]["ground-truth"]["attributes"]["annotations"] = [polygon, box, line]
        dataset["samples"] = dataset["samples"][:1]

    change(raw, edit)
    report = run(raw, tmp_path / "dst", "segments-ai")
    assert report.dropped == {("tree", "shape type 'polyline' has no area"): 1}
    assert report.pixels_out == {"cat": 12, "tree": 32}


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda dataset: dataset.update(task_type="pointcloud-cuboid"), "of the type 'pointcloud-cuboid'"),
        (lambda dataset: rows(dataset).append({"id": 1, "category_id": 1}), "two annotations of the number 1"),
        (lambda dataset: rows(dataset)[0].update(id=0), "annotation 0 has the field 'id' = 0"),
        (lambda dataset: dataset["samples"].clear(), "no sample with a label"),
    ],
)
def test_what_is_wrong_is_named(raw, tmp_path, edit, problem):
    change(raw, edit)
    with pytest.raises(UserError, match=problem):
        run(raw, tmp_path / "dst", "segments-ai")


def test_a_bitmap_of_another_size(raw, tmp_path):
    save(np.zeros((30, 47, 3), dtype=np.uint8), raw / "a_bitmap.png")
    with pytest.raises(UserError, match=r"a\.png is 48x30 pixels but .*a_bitmap\.png is for 47x30"):
        run(raw, tmp_path / "dst", "segments-ai")
