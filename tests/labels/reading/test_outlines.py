"""Outlines through the centres of pixels, against OpenCV's own, and how a file's areas tell them from edges."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from labels.tiny_labels import box, instances_json, run, write_instances, write_json, write_labelme, write_yolo
from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields
from pantile.labels.reading.outlines import CENTRES, EDGES, outline_of
from pantile.labels.reading.rasterise import polygons_to_mask

RECORDED = json.loads(Path(__file__).parents[1].joinpath("recordings/opencv_contours/contours.json").read_text())
SIZE = tuple(RECORDED["size"])


def mask_of_runs(runs: list[list[int]]) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    for row, first, last in runs:
        mask[row, first : last + 1] = True
    return mask


def drawn(points: list[list[int]], outline: str) -> np.ndarray:
    return coco_mask.decode(polygons_to_mask([points], SIZE, "here", outline)).astype(bool)


def test_contours_give_their_masks_back():
    """To the pixel; read as edges they do not."""
    lost = 0
    for own in RECORDED["outlines"]:
        mask = mask_of_runs(own["mask"])
        assert (drawn(own["contour"], CENTRES) == mask).all()
        lost += int((mask & ~drawn(own["contour"], EDGES)).sum())
    assert lost > 1000


def test_simplified_contours_are_filled_as_opencv_fills_them():
    """Slanted lines may round otherwise; these are small, and one pixel in eighty does."""
    pixels = differ = 0
    for own in RECORDED["outlines"]:
        if "filled" in own:
            filled = mask_of_runs(own["filled"])
            pixels += int(filled.sum())
            differ += int((filled != drawn(own["simplified"], CENTRES)).sum())
    assert pixels > 3000 and differ < 0.015 * pixels


def test_what_lies_partly_outside():
    square = [[-3, -3], [1, -3], [1, 2], [-3, 2]]
    assert drawn(square, CENTRES).sum() == 2 * 3
    assert drawn([[46, 38], [60, 38], [60, 50], [46, 50]], CENTRES).sum() == 2 * 2


def rows(area_of) -> list[Fields]:
    """Annotations of the recorded contours, with an area each."""
    found = []
    for own in RECORDED["outlines"]:
        flat = [value for point in own["contour"] for value in point]
        found.append(Fields({"segmentation": [flat], "area": area_of(own)}, "row"))
    return found


def shoelace(own: dict) -> float:
    x, y = np.array(own["contour"], float).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def pixels(own: dict) -> int:
    return int(mask_of_runs(own["mask"]).sum())


@pytest.mark.parametrize(
    ("area_of", "kind", "word"),
    [
        (pixels, CENTRES, "run through"),
        (shoelace, EDGES, "run along"),
        (lambda own: int(drawn(own["contour"], EDGES).sum()), EDGES, "run along"),
        (lambda own: 3 * pixels(own), EDGES, "fit neither"),
        (lambda own: None, EDGES, "no areas"),
        (lambda own: pixels(own) if own["contour"][0][0] % 2 else shoelace(own), EDGES, "fit neither"),
    ],
)
def test_areas_tell(area_of, kind, word):
    found = outline_of(rows(area_of), None, "x.json")
    assert found.kind == kind and word in found.reason
    assert outline_of(rows(area_of), CENTRES, "x.json").kind == CENTRES


SQUARE = {"segmentation": [box(2, 1, 5, 3)]}  # as edges 3x2 pixels, as centres 4x3


@pytest.mark.parametrize(
    ("area", "said", "expected"), [(12, None, 12), (6, None, 6), (6, "centres", 12), (12, "edges", 6)]
)
def test_coco_says_it_and_a_person_may(tmp_path, area, said, expected):
    src = write_instances(tmp_path / "src", [SQUARE | {"area": area}])
    report = run(src, tmp_path / "dst", "coco-instances", outline=said)
    assert report.pixels_out == {"cat": expected}
    assert any(note.startswith("Outlines of") for note in report.notes)


def test_each_file_tells_for_itself(tmp_path):
    src = write_instances(tmp_path / "src", [SQUARE | {"area": 12}])
    write_json(instances_json([SQUARE | {"area": 6}]), src / "annotations" / "instances_val.json")
    (src / "val").mkdir()
    (src / "val" / "a.png").write_bytes((src / "train" / "a.png").read_bytes())
    assert run(src, tmp_path / "dst", "coco-instances").pixels_out == {"cat": 12 + 6}


def test_tools_without_areas_take_the_option(tmp_path):
    line = "0 0.2 0.125 0.5 0.125 0.5 0.375 0.2 0.375"
    assert run(write_yolo(tmp_path / "y", [line]), tmp_path / "a", "yolo-seg").pixels_out == {"cat": 6}
    assert run(tmp_path / "y", tmp_path / "b", "yolo-seg", outline="centres").pixels_out == {"cat": 12}
    corners = [[2, 1], [5, 1], [5, 3], [2, 3]]
    shapes = [{"points": corners}, {"label": "dog", "points": [[6, 4], [8, 6]], "shape_type": "rectangle"}]
    report = run(write_labelme(tmp_path / "l", shapes), tmp_path / "c", "labelme", outline="centres")
    assert report.pixels_out == {"cat": 12, "dog": 4}  # a rectangle of two points is geometry


def test_the_option_is_checked(tmp_path):
    src = write_instances(tmp_path / "src", [SQUARE])
    with pytest.raises(UserError, match=r"--outline 'middle' is not known: choose from centres, edges"):
        run(src, tmp_path / "dst", "coco-instances", outline="middle")
    with pytest.raises(UserError, match="--outline does not apply to semantic"):
        run(src, tmp_path / "dst", "semantic", outline="edges")
