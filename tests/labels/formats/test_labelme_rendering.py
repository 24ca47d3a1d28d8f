"""A file of labelme against what the package paints from it.

Its rendering also fills the pixels that outlines pass, those of boxes and circles too, so that every shape is wider by
half a pixel than its geometry. Beyond one pixel from an outline both must be the same everywhere.
"""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, photo, run

RECORDED = RECORDINGS / "labelme"
SIZE = (120, 160)
LABELS = ("", "road", "cat", "tree", "dog")


def outlines() -> np.ndarray:
    """(H, W) bool: pixels at most one beside an outline."""
    mask = np.zeros(SIZE, dtype=bool)
    for shape in json.loads((RECORDED / "a.json").read_text())["shapes"]:
        points = np.array(shape["points"])
        if shape["shape_type"] == "mask":
            continue
        if shape["shape_type"] == "rectangle":
            (left, top), (right, bottom) = points
            points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        elif shape["shape_type"] == "circle":
            turns = np.linspace(0, 2 * np.pi, 60)[:, None]
            points = points[0] + np.linalg.norm(points[1] - points[0]) * np.hstack([np.cos(turns), np.sin(turns)])
        share = np.linspace(0, 1, 400)[:, None, None]
        passed = points + share * (np.roll(points, -1, axis=0) - points)
        columns, rows = np.floor(passed).astype(int).reshape(-1, 2).T
        mask[rows.clip(0, SIZE[0] - 1), columns.clip(0, SIZE[1] - 1)] = True
    return binary_dilation(mask, np.ones((3, 3)))


@pytest.mark.parametrize(("outline", "same"), [(None, 18648), ("centres", 18936)])
def test_recorded_file(tmp_path, outline, same):
    (tmp_path / "src").mkdir()
    shutil.copy(RECORDED / "a.json", tmp_path / "src")
    photo(tmp_path / "src" / "a.png", SIZE)
    report = run(tmp_path / "src", tmp_path / "dst", "labelme", overlap="last-on-top", stuff=("road",), outline=outline)
    assert_books_balance(report)
    assert not report.dropped
    found = masks_by_class(tmp_path / "dst", 0)
    assert [len(found[name]) for name in LABELS[1:]] == [1, 2, 2, 2]
    classes = np.zeros(SIZE, dtype=int)
    for number, name in enumerate(LABELS):
        for mask in found.get(name, []):
            classes[mask] = number
    differs = classes != np.asarray(Image.open(RECORDED / "classes.png"))
    assert (~differs).sum() == same and not (differs & ~outlines()).any()
    instances = np.asarray(Image.open(RECORDED / "instances.png"))
    inside = ~outlines()
    for mask in (mask & inside for masks in found.values() for mask in masks):
        assert len(np.unique(instances[mask])) == 1
