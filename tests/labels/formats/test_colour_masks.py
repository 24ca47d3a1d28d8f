"""Masks of colours: CVAT's export as datumaro writes it, and palettes as other tools have them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import assert_books_balance, photo, run, save
from pantile.contracts.errors import UserError

RECORDED = RECORDINGS / "datumaro" / "masks"
COLOURS = {"road": (90, 90, 90), "cat": (200, 0, 0)}
BLOCKS = np.array([[1, 1, 2], [0, 2, 2]])


def test_recorded_masks(tmp_path):
    report = run(RECORDED, tmp_path / "dst", "cvat-masks", stuff=("road",))
    assert_books_balance(report)
    assert "1 images of split 'val' have no mask and were left out." in report.notes
    assert report.images == {"train": 2}
    assert [(c.name, c.color) for c in report.taxonomy.classes] == [
        ("cat", (200, 0, 0)),
        ("road", (90, 90, 90)),
        ("tree", (0, 160, 0)),
    ]
    classes, objects = (
        np.asarray(Image.open(RECORDED / kind / "a.png")) for kind in ("SegmentationClass", "SegmentationObject")
    )
    found = masks_by_class(tmp_path / "dst", 0)
    assert sorted(name for name, masks in found.items() for _ in masks) == ["cat", "cat", "road", "tree"]
    for name, masks in found.items():
        colour = next(c.color for c in report.taxonomy.classes if c.name == name)
        pairs = np.concatenate([classes, objects], axis=-1)[(classes == colour).all(axis=-1)]
        wanted = {
            ((np.concatenate([classes, objects], -1) == pair).all(-1)).tobytes() for pair in np.unique(pairs, axis=0)
        }
        assert {mask.tobytes() for mask in masks} == wanted


def test_images_without_masks_are_counted(tmp_path):
    shutil.copytree(RECORDED, tmp_path / "src")
    lists = tmp_path / "src" / "ImageSets" / "Segmentation"
    (lists / "val.txt").write_text("c\nsub/b\n")
    (lists / "train.txt").write_text("a\n")
    report = run(tmp_path / "src", tmp_path / "dst", "cvat-masks")
    assert report.images == {"train": 1, "val": 1}
    assert "1 images of split 'val' have no mask and were left out." in report.notes
    (lists / "val.txt").write_text("../../a\n")
    with pytest.raises(UserError, match="not inside"):
        run(tmp_path / "src", tmp_path / "again", "cvat-masks")


PALETTES = {
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:90,90,90::\ncat:200,0,0::\n",
    "label_colors.txt": "90 90 90 road\n200 0 0\tcat\n",
    "class_dict.csv": "name,r,g,b\nroad,90,90,90\ncat, 200,0, 0\n",
    "palette.txt": "road 90 90 90\ncat 200 0 0\n",
    "palette.json": json.dumps({name: list(colour) for name, colour in COLOURS.items()}),
    "classes.json": json.dumps(
        [{"id": 1, "name": "road", "color": [90, 90, 90]}, {"id": 4, "name": "cat", "color": [200, 0, 0]}]
    ),
}


def colours_of(blocks: np.ndarray) -> np.ndarray:
    return np.array([(0, 0, 0), *COLOURS.values()], dtype=np.uint8)[blocks]


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("indexed", [False, True])
def test_palettes(tmp_path, name, indexed):
    src = tmp_path / "src"
    photo(src / "images" / "train" / "a.jpg", BLOCKS.shape)
    path = save(colours_of(BLOCKS), src / "masks" / "train" / "a.png")
    if indexed:
        Image.open(path).quantize(4).save(path)
    save(colours_of(np.array([[0, 0, 1], [0, 2, 2]])), src / "instances" / "train" / "a.png")
    (src / name).write_text(PALETTES[name])
    report = run(src, tmp_path / "dst", "colour-masks", stuff=("road",))
    assert report.segments_out == {"road": 1, "cat": 2} and report.pixels_out == {"road": 2, "cat": 3}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("road,90,90,90\n", "has 3 pixels of colours that .* lacks, such as 200,0,0"),
        ("road,90,90,90\ncat,90,90,90\n", "line 2 has the colour of 'road'"),
        ("road,90,90,900\n", "line 1 has no colour of three whole numbers from 0 to 255"),
        ("road,grey\n", "line 1 has no colour of three whole numbers"),
        ("90,90,90\n", "line 1 has no name"),
        ("void,0,0,0\n", "no class with a colour"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, problem):
    src = tmp_path / "src"
    photo(src / "images" / "train" / "a.jpg", BLOCKS.shape)
    save(colours_of(BLOCKS), src / "masks" / "train" / "a.png")
    (src / "class_dict.csv").write_text(text)
    with pytest.raises(UserError, match=problem):
        run(src, tmp_path / "dst", "colour-masks")
