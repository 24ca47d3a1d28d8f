"""What the tools write beside the plain case: folders, lists, void, corners, photos within labels, odd categories."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labels.tiny_labels import (
    box,
    instances_json,
    photo,
    pixels_of,
    rectangle,
    result,
    run,
    save,
    write_instances,
    write_json,
    write_labelme,
    write_yolo,
)
from pantile.contracts.errors import UserError
from pantile.data import CocoPanoptic

CORNERS = [[2, 1], [6, 1], [6, 4], [2, 4]]
CAT = rectangle(slice(1, 4), slice(2, 6))
LINE = "0 0.2 0.125 0.6 0.125 0.6 0.5 0.2 0.5"


def names_in(folder: Path, split: str = "train") -> set[str]:
    return {
        entry["file_name"]
        for entry in json.loads((folder / f"annotations/panoptic_{split}.json").read_text())["images"]
    }


def yolo_of(root: Path, names: list[str]) -> Path:
    for name in names:
        photo(root / "images" / f"{name}.png")
        label = root / "labels" / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(LINE)
    return root


@pytest.mark.parametrize("prefix", ["", "./", "images/../", "data/", "/content/drive/mine/", "C:\\mine\\", "../x/"])
def test_yolo_lists_of_images_from_any_machine(tmp_path, prefix):
    src = yolo_of(tmp_path / "src", ["train/a", "train/cam/a", "val/b", "val/unlisted"])
    (src / "train.txt").write_text(f"{prefix}images/train/a.png\n\n{prefix}images/train/cam/a.png\n")
    (src / "lists").mkdir()
    (src / "lists" / "val.txt").write_text(f"{prefix}images/val/b.png")
    (src / "data.yaml").write_text("path: .\ntrain: train.txt\nval: lists/val.txt\nnames: {0: cat}\n")
    report = run(src, tmp_path / "dst", "yolo-seg")
    assert report.segments_out == {"cat": 3}
    assert names_in(tmp_path / "dst") == {"images_train_a.png", "images_train_cam_a.png"}
    assert [(own.what, own.count) for own in report.left_out] == [("images", 1), ("files", 1)]


def test_a_list_never_leads_outside(tmp_path):
    src = yolo_of(tmp_path / "src", ["train/a"])
    photo(tmp_path / "secret.png")
    (src / "train.txt").write_text(f"{tmp_path}/secret.png\n")
    (src / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")
    with pytest.raises(UserError, match="does not exist"):
        run(src, tmp_path / "dst", "yolo-seg")


@pytest.mark.parametrize("source", ["png-pairs", "semantic", "two-channel", "three-channel"])
def test_label_pngs_in_folders(tmp_path, source):
    folder = {"two-channel": "annotations/panoptic_2ch", "three-channel": "annotations"}.get(source, "semantic")
    classes = np.array([[3, 3, 0], [7, 7, 7]], np.uint8)
    for name in ("a", "city/a", "city/north/b"):
        photo(tmp_path / "src" / "images" / "train" / f"{name}.png", classes.shape)
        pixels = classes if folder == "semantic" else np.stack([classes, classes // 3, 0 * classes], -1)
        save(pixels, tmp_path / "src" / folder / "train" / f"{name}.png")
        save(classes, tmp_path / "src" / "instances" / "train" / f"{name}.png")
    write_json([{"id": 3, "name": "cat"}, {"id": 7, "name": "grass", "isthing": 0}], tmp_path / "src" / "classes.json")
    report = run(tmp_path / "src", tmp_path / "dst", source)
    assert report.images == {"train": 3} and not report.left_out
    assert names_in(tmp_path / "dst") == {"a.png", "city_a.png", "city_north_b.png"}
    assert report.pixels_out == {"cat": 6, "grass": 9}


def test_corners_of_a_rectangle_and_a_turned_one(tmp_path):
    turned = [[4, 1], [7, 4], [4, 7], [1, 4]]
    shapes = [
        {"points": CORNERS, "shape_type": "rectangle"},
        {"label": "dog", "points": turned, "shape_type": "rotation"},
    ]
    report = run(write_labelme(tmp_path / "src", shapes), tmp_path / "dst", "labelme", overlap="larger-on-top")
    assert report.pixels_in["cat"] == CAT.sum()
    assert report.pixels_in["dog"] == pytest.approx(18, abs=6)
    with pytest.raises(UserError, match="two points of a rectangle"):
        run(
            write_labelme(tmp_path / "bad", [{"points": CORNERS[:3], "shape_type": "rectangle"}]),
            tmp_path / "x",
            "labelme",
        )


def test_void_of_labelme_takes_pixels_and_is_no_class(tmp_path):
    hole = {"label": "_background_", "points": [[3, 2], [5, 2], [5, 3], [3, 3]]}
    shapes = [{"label": "__ignore__", "points": [[0, 0], [3, 0], [3, 8], [0, 8]]}, {"points": CORNERS}, hole]
    report = run(write_labelme(tmp_path / "src", shapes), tmp_path / "dst", "labelme", overlap="last-on-top")
    expected = CAT.copy()
    expected[2, 3:5] = False
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(expected))}
    assert report.taxonomy.names == ("cat",)
    assert report.decided == {("void", "cat"): 2}
    assert [n for (name, _), n in report.dropped.items() if name == "void"] == [2]
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    report = run(tmp_path / "src", tmp_path / "b", "labelme", overlap="last-on-top", classes=tmp_path / "labels.txt")
    assert report.taxonomy.names == ("cat", "dog") and report.segments_out == {"cat": 1}
    with pytest.raises(UserError, match=r"annotation|shape 1 \(cat\)"):
        run(tmp_path / "src", tmp_path / "c", "labelme")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("image_path", ["a.jpg", "..\\..\\photos\\a.jpg", "/home/me/a.jpg"])
def test_image_data_stands_in_for_a_file_that_is_gone(tmp_path, kind, image_path):
    src = write_labelme(tmp_path / "src", [{"points": CORNERS}])
    content = json.loads((src / "a.json").read_text())
    buffer = io.BytesIO()
    Image.open(src / "a.jpg").save(buffer, format=kind)
    write_json(
        content | {"imagePath": image_path, "imageData": base64.b64encode(buffer.getvalue()).decode()}, src / "a.json"
    )
    (src / "a.jpg").unlink()
    report = run(src, tmp_path / "dst", "labelme")
    suffix = {"PNG": "png", "JPEG": "jpg"}[kind]
    assert (tmp_path / "dst" / "train" / f"a.{suffix}").read_bytes() == buffer.getvalue()
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(CAT))}
    assert any("imageData" in note for note in report.notes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dst", "src"]  # nothing is left beside them


def test_a_file_beside_the_json_comes_before_a_path_of_another_machine(tmp_path):
    src = write_labelme(tmp_path / "src", [{"points": CORNERS}])
    content = json.loads((src / "a.json").read_text())
    write_json(content | {"imagePath": "D:\\photos\\a.jpg"}, src / "a.json")
    assert run(src, tmp_path / "dst", "labelme").segments_out == {"cat": 1}


SQUARE = {"segmentation": [box(2, 1, 6, 4)]}


def test_roboflow_s_root_is_no_class(tmp_path):
    src = write_instances(tmp_path / "src", [SQUARE | {"category_id": 1}])
    data = json.loads((src / "annotations/instances_train.json").read_text())
    data["categories"] = [
        {"id": 0, "name": "cells", "supercategory": "none"},
        {"id": 1, "name": "cells", "supercategory": "cells"},
    ]
    write_json(data, src / "annotations/instances_train.json")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert [(c.id, c.name) for c in report.taxonomy.classes] == [(1, "cells")]
    assert [(own.what, own.count) for own in report.left_out] == [("classes", 1)]
    data["annotations"][0]["category_id"] = 0  # a root with annotations is a class like any other
    write_json(data, src / "annotations/instances_train.json")
    with pytest.raises(UserError, match="repeats the name"):
        run(src, tmp_path / "other", "coco-instances")


LEGIBLE = ("#0a14ff", "0A14FF", [10.0, 20.2, 255.0], [10, 20, 255])


@pytest.mark.parametrize("color", [*LEGIBLE, "blue", [1, 2], [300, 0, 0], 7])
def test_hashed_ids_odd_colors_and_crowd_that_is_null(tmp_path, color):
    big = 2**61 + 5
    src = write_instances(tmp_path / "src", [SQUARE | {"category_id": big, "iscrowd": None}])
    data = json.loads((src / "annotations/instances_train.json").read_text())
    data["categories"] = [{"id": 3, "name": "dog"}, {"id": big, "name": "cat", "color": color}]
    write_json(data, src / "annotations/instances_train.json")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert result(tmp_path / "dst") == {("cat", False, pixels_of(CAT))}
    assert [(c.id, c.name) for c in report.taxonomy.classes] == [(1, "dog"), (2, "cat")]
    legible = color in LEGIBLE
    assert (report.taxonomy.classes[1].color == (10, 20, 255)) == legible
    assert any("color that cannot be read" in note for note in report.notes) != legible
    assert any("numbered anew" in note for note in report.notes)


def test_images_that_a_json_does_not_list_are_told(tmp_path):
    src = write_instances(tmp_path / "src", [SQUARE])
    photo(src / "train" / "more" / "b.png")
    report = run(src, tmp_path / "dst", "coco-instances")
    assert any(
        n.startswith("1 images beside the labelled ones are in no JSON and were left out, first ") for n in report.notes
    )


def test_annotations_go_with_a_missing_image_and_are_counted(tmp_path):
    src = write_instances(tmp_path / "src", [SQUARE, SQUARE | {"image_id": 2}, SQUARE | {"image_id": 2}])
    rows = json.loads((src / "annotations/instances_train.json").read_text())["annotations"]
    write_json(instances_json(rows, names=("a.png", "b.png")), src / "annotations/instances_train.json")
    report = run(src, tmp_path / "dst", "coco-instances", skip_missing=True)
    assert [(own.what, own.count) for own in report.left_out] == [("images", 1), ("annotations", 2)]
    assert len(CocoPanoptic(tmp_path / "dst", "train")) == 1


def test_images_in_folders_below_a_yolo_split(tmp_path):
    src = write_yolo(tmp_path / "src", [LINE])
    yolo_of(src, ["train/cam1/1", "train/cam2/1"])
    assert run(src, tmp_path / "dst", "yolo-seg").images == {"train": 3}
    assert names_in(tmp_path / "dst") == {"a.png", "cam1_1.png", "cam2_1.png"}
