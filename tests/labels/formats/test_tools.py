"""labelme, CVAT and YOLO-seg: shapes as the tools write them, and what is dropped."""

import json

import numpy as np
import pytest

from labels.tiny_labels import (
    assert_books_balance,
    photo,
    pixels_of,
    png_text,
    rectangle,
    result,
    run,
    write_cvat,
    write_labelme,
    write_yolo,
)
from pantile.contracts.errors import UserError

CAT = rectangle(slice(1, 4), slice(2, 6))
CAT_POINTS = [[2, 1], [6, 1], [6, 4], [2, 4]]


def test_labelme_shapes(tmp_path):
    patch = np.zeros((3, 2), dtype=np.uint8)
    patch[1:] = 255
    shapes = [
        {"points": CAT_POINTS},
        {"points": [[9, 7], [7, 5]], "shape_type": "rectangle", "label": "dog"},
        {"points": [[0, 5], [1, 7]], "shape_type": "mask", "mask": png_text(patch), "label": "dog"},
        {"points": [[0, 0], [1, 1]], "shape_type": "line", "label": "dog"},
        {"points": [[3, 3]], "shape_type": "point"},
        {"points": [[20, 1], [26, 1], [26, 4]]},
        {"points": [[2, 1], [6, 1]]},
        {"points": []},
    ]
    report = run(write_labelme(tmp_path / "src", shapes), tmp_path / "dst", "labelme")
    assert result(tmp_path / "dst") == {
        ("cat", False, pixels_of(CAT)),
        ("dog", False, pixels_of(rectangle(slice(5, 7), slice(7, 9)))),
        ("dog", False, pixels_of(rectangle(slice(6, 8), slice(0, 2)))),
    }
    assert report.dropped == {
        ("dog", "shape type 'line' has no area"): 1,
        ("cat", "shape type 'point' has no area"): 1,
        ("cat", "outside of the image"): 1,
        ("cat", "polygon with fewer than three points"): 1,
        ("cat", "empty polygon"): 1,
    }
    assert report.first_dropped["cat", "outside of the image"].endswith("a.json: shape 5")
    assert_books_balance(report)
    assert report.notes == ["Taken as things, change it with --stuff: cat, dog."]


def test_labelme_groups_are_one_segment_and_stuff_merges(tmp_path):
    left, right = rectangle(slice(0, 2), slice(0, 2)), rectangle(slice(0, 2), slice(5, 8))
    points = [[[0, 0], [2, 0], [2, 2], [0, 2]], [[5, 0], [8, 0], [8, 2], [5, 2]]]
    below = [[[x, y + 4] for x, y in polygon] for polygon in points]
    shapes = [{"points": p, "group_id": 4} for p in points] + [{"points": p, "label": "grass"} for p in below]
    run(write_labelme(tmp_path / "src", shapes), tmp_path / "dst", "labelme", stuff=("grass",))
    both = left | right
    assert result(tmp_path / "dst") == {
        ("cat", False, pixels_of(both)),
        ("grass", False, pixels_of(np.roll(both, 4, axis=0))),
    }


def test_labelme_circle(tmp_path):
    shapes = [{"points": [[50, 50], [50, 20]], "shape_type": "circle"}]
    report = run(write_labelme(tmp_path / "src", shapes, (100, 100)), tmp_path / "dst", "labelme")
    assert report.pixels_out["cat"] == pytest.approx(np.pi * 900, rel=0.01)


def test_labelme_mask_is_cut_at_the_image_s_edge(tmp_path):
    patch = np.full((4, 4), 255, dtype=np.uint8)
    shapes = [{"points": [[-2, -1], [1, 2]], "shape_type": "mask", "mask": png_text(patch)}]
    run(write_labelme(tmp_path / "src", shapes), tmp_path / "dst", "labelme")
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(rectangle(slice(0, 3), slice(0, 2))))}


def test_labelme_paths_of_windows_and_subfolders(tmp_path):
    src = write_labelme(tmp_path / "src", [{"points": CAT_POINTS}])
    photo(src / "images" / "b.png")
    (src / "json").mkdir()
    data = json.loads((src / "a.json").read_text()) | {"imagePath": "..\\images\\b.png"}
    (src / "json" / "b.json").write_text(json.dumps(data))
    report = run(src, tmp_path / "dst", "labelme")
    assert report.images == {"train": 2}
    assert sorted(p.name for p in (tmp_path / "dst" / "train").iterdir()) == ["a.jpg", "images_b.png"]


def test_labelme_tells_what_it_left_out(tmp_path):
    src = write_labelme(tmp_path / "src", [{"points": CAT_POINTS}])
    photo(src / "b.png")
    (src / "other.json").write_text("{}")
    report = run(src, tmp_path / "dst", "labelme")
    assert report.notes[1].startswith("1 JSONs have neither shapes nor imagePath and were left out, first ")
    assert report.notes[2].startswith("1 images beside the labelled ones have no JSON and were left out, first ")


def test_classes_file_chooses_and_orders(tmp_path):
    shapes = [{"points": CAT_POINTS}, {"points": [[0, 5], [3, 5], [3, 8]], "label": "bird"}]
    src = write_labelme(tmp_path / "src", shapes)
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    report = run(src, tmp_path / "dst", "labelme", classes=tmp_path / "names.txt")
    assert report.taxonomy.names == ("dog", "cat")
    assert report.dropped == {("bird", "class not in the list of classes"): 1}


def test_cvat_shapes(tmp_path):
    shapes = """
    <polygon label="cat" points="2.00,1.00;6.00,1.00;6.00,4.00;2.00,4.00" z_order="0"/>
    <box label="grass" xtl="7" ytl="5" xbr="9" ybr="7" z_order="0"/>
    <mask label="cat" rle="1, 2, 2, 1" left="0" top="5" width="3" height="2" z_order="0"/>
    <points label="cat" points="1,1;2,2"/><polyline label="cat" points="1,1;2,2"/>
    """
    report = run(write_cvat(tmp_path / "src", shapes), tmp_path / "dst", "cvat", stuff=("grass",))
    mask = np.zeros((8, 10), dtype=bool)
    mask[5:7, :3] = [[0, 1, 1], [0, 0, 1]]
    assert result(tmp_path / "dst") == {
        ("cat", False, pixels_of(CAT)),
        ("grass", False, pixels_of(rectangle(slice(5, 7), slice(7, 9)))),
        ("cat", False, pixels_of(mask)),
    }
    assert report.dropped == {
        ("cat", "shape type 'points' has no area"): 1,
        ("cat", "shape type 'polyline' has no area"): 1,
    }


def test_cvat_z_order_comes_before_the_file_s_order(tmp_path):
    shapes = """<box label="cat" xtl="0" ytl="0" xbr="4" ybr="4" z_order="2"/>
    <box label="grass" xtl="0" ytl="0" xbr="6" ybr="4" z_order="1"/>"""
    report = run(write_cvat(tmp_path / "src", shapes), tmp_path / "dst", "cvat", overlap="last-on-top")
    assert report.decided == {("cat", "grass"): 16}
    assert_books_balance(report)


def test_cvat_ellipse_and_rotation(tmp_path):
    shapes = """<ellipse label="cat" cx="50" cy="50" rx="30" ry="10" z_order="0" rotation="90"/>"""
    report = run(write_cvat(tmp_path / "src", shapes, (100, 100)), tmp_path / "dst", "cvat")
    assert report.pixels_out["cat"] == pytest.approx(np.pi * 300, rel=0.02)
    ((_, _, pixels),) = result(tmp_path / "dst")
    rows = np.array(pixels) // 100
    assert rows.min() == pytest.approx(20, abs=1) and rows.max() == pytest.approx(79, abs=1)


def test_cvat_subsets_are_splits(tmp_path):
    src = write_cvat(tmp_path / "src", "")
    text = (src / "annotations.xml").read_text()
    second = '<image id="1" name="b.png" subset="val" width="10" height="8"/>'
    (src / "annotations.xml").write_text(text.replace("</annotations>", f"{second}</annotations>"))
    photo(src / "images" / "val" / "b.png")
    report = run(src, tmp_path / "dst", "cvat")
    assert report.images == {"train": 1, "val": 1}
    assert (tmp_path / "dst" / "annotations" / "panoptic_val.json").is_file()


def test_cvat_refuses_document_types(tmp_path):
    src = write_cvat(tmp_path / "src", "")
    text = (src / "annotations.xml").read_text()
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotations>'
    (src / "annotations.xml").write_text(text.replace("<annotations>", bomb))
    with pytest.raises(UserError, match="document type"):
        run(src, tmp_path / "dst", "cvat")


def test_yolo(tmp_path):
    lines = [
        "0 0.2 0.125 0.6 0.125 0.6 0.5 0.2 0.5",
        "1 0 0.625 1 0.625 1 1 0 1",
        "1 0.5 0.5 0.2 0.2",
        "0 0.1 0.1 0.2 0.2",
        "5 0.2 0.125 0.6 0.125 0.6 0.5",
        "0 0.1 0.1",
    ]
    src = write_yolo(tmp_path / "src", lines)
    photo(src / "images" / "train" / "b.png")
    (src / "labels" / "train" / "c.txt").write_text("0 0 0 1 0 1 1")
    report = run(src, tmp_path / "dst", "yolo-seg", stuff=("grass",))
    assert result(tmp_path / "dst") == {
        ("cat", False, pixels_of(CAT)),
        ("grass", False, pixels_of(rectangle(slice(5, 8), slice(0, 10)))),
    }
    assert report.dropped == {
        ("grass", "a box, not a polygon"): 1,
        ("cat", "a box, not a polygon"): 1,
        ("class 5", "unknown category"): 1,
        ("cat", "polygon with fewer than three points"): 1,
    }
    assert report.images == {"train": 2}
    assert "1 images have no text file: they have no objects." in report.notes
    assert "1 text files have no image and were left out." in report.notes
    assert [c.id for c in report.taxonomy.classes] == [1, 2]


@pytest.mark.parametrize("train", ["../images/train", "images/train", "./images/train/"])
def test_yolo_folders_as_tools_write_them(tmp_path, train):
    src = write_yolo(tmp_path / "src", ["0 0.2 0.125 0.6 0.125 0.6 0.5 0.2 0.5"])
    (src / "data.yaml").write_text(f"path: ../datasets/mine\ntrain: {train}\nnc: 2\nnames: [cat, grass]\n")
    assert run(src, tmp_path / "dst", "yolo-seg").segments_out == {"cat": 1}


def test_yolo_never_reads_outside(tmp_path):
    src = write_yolo(tmp_path / "src", [])
    photo(tmp_path / "secret" / "images" / "x.png")
    (src / "data.yaml").write_text("train: ../../secret/images\nnames: [cat]\n")
    with pytest.raises(UserError, match="not inside"):
        run(src, tmp_path / "dst", "yolo-seg")
