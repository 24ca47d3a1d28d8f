"""SuperAnnotate's vector JSONs, as its package converts known outlines into them."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from labels.recordings import masks_by_class
from labels.tiny_labels import assert_books_balance, rectangle, run, write_json
from labels.tool_folders import superannotate_images
from pantile.contracts.errors import UserError

SIZE = (30, 48)


@pytest.fixture
def project(tmp_path):
    superannotate_images(tmp_path / "src")
    return tmp_path / "src"


def test_recorded_images(project, tmp_path):
    report = run(project, tmp_path / "dst", "auto", overlap="last-on-top", stuff=("road",))
    assert_books_balance(report)
    assert report.dropped == {
        ("wire", "shape type 'polyline' has no area"): 1,
        ("wire", "shape type 'point' has no area"): 1,
    }
    found = masks_by_class(tmp_path / "dst", 0)
    tree, wheel = rectangle(slice(14, 26), slice(4, 10), SIZE), found["wheel"][0]
    assert np.array_equal(found["tree"][0], tree)
    assert np.array_equal(found["road"][0], rectangle(slice(20, 30), slice(0, 48), SIZE) & ~tree & ~wheel)
    assert found["pond"][0].sum() == pytest.approx(np.pi * 8 * 4, rel=0.05)
    assert wheel.sum() == pytest.approx(np.pi * 25, rel=0.05)
    parts = [[22.5, 4, 28, 4, 28, 11, 22, 11], [12, 4, 18, 4, 18, 11, 12, 11]]
    wanted = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, *SIZE))).astype(bool)
    (cat,) = masks_by_class(tmp_path / "dst", 1)["cat"]
    assert np.array_equal(cat, wanted)


def test_holes_and_turned_boxes(project, tmp_path):
    """As the tool's documentation has them; the package's converters write neither."""
    corners = {"x1": 10, "y1": 4, "x2": 14, "y2": 8, "x3": 10, "y3": 12, "x4": 6, "y4": 8}
    rows = [
        {"type": "polygon", "className": "road", "points": [20, 4, 30, 4, 30, 14, 20, 14],
         "exclude": [[22, 6, 26, 6, 26, 10, 22, 10]]},
        {"type": "rbbox", "className": "tree", "points": corners},
    ]  # fmt: skip
    write_json({"instances": rows, "metadata": {"name": "a.png", "width": 48, "height": 30}}, project / "a.png.json")
    run(project, tmp_path / "dst", "superannotate")
    found = masks_by_class(tmp_path / "dst", 0)
    assert found["road"][0].sum() == 10 * 10 - 4 * 4
    assert abs(found["tree"][0].sum() - 32) <= 4


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda rows: rows[0].update(points=[1, 2, 3]), "numbers \\[x, y"),
        (lambda rows: rows[1]["points"].pop("x1"), "lacks the field 'x1'"),
        (lambda rows: rows[2].update(rx=-1), "two radii"),
        (lambda rows: rows[3].update(parts=[{"color": "#000000"}]), "of a pixel project"),
    ],
)
def test_what_is_wrong_is_named(project, tmp_path, edit, problem):
    data = json.loads((project / "a.png.json").read_text())
    edit(data["instances"])
    write_json(data, project / "a.png.json")
    with pytest.raises(UserError, match=problem) as told:
        run(project, tmp_path / "dst", "superannotate", overlap="last-on-top")
    assert "a.png.json" in str(told.value)
