"""CVAT's XML, against the masks that datumaro, with which CVAT exports masks, made of the same shapes."""

from itertools import groupby

import numpy as np
from PIL import Image

from labels.recordings import RECORDINGS, masks_by_class
from labels.tiny_labels import photo, run

MASKS = RECORDINGS / "datumaro" / "masks"
COLOURS = {"road": (90, 90, 90), "cat": (200, 0, 0), "tree": (0, 160, 0)}


def points(*flat: int) -> str:
    return ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(flat[::2], flat[1::2], strict=True))


def mask_text() -> str:
    """The recording's mask: its box, and run lengths along its rows, background first."""
    mask = np.zeros((9, 21), dtype=int)
    mask[:, :10] = mask[2:5, 16:] = 1
    mask[2:5, 3:6] = 0
    runs = [len(list(own)) for _, own in groupby(mask.ravel())]
    return f'rle="{", ".join(map(str, [0, *runs]))}" left="4" top="3" width="21" height="9"'


def test_shapes_of_the_recording(tmp_path):
    """Every pixel of every object, by ``z_order``, those of a group as one."""
    shapes = f"""
    <box label="cat" xtl="14.00" ytl="16.00" xbr="23.00" ybr="24.00" z_order="3"/>
    <polygon label="road" points="{points(0, 20, 48, 18, 48, 30, 0, 30)}" z_order="0"/>
    <mask label="cat" {mask_text()} z_order="1"/>
    <polygon label="tree" points="{points(28, 3, 36, 4, 35, 13, 27, 12)}" z_order="2" group_id="3"/>
    <polygon label="tree" points="{points(38, 15, 45, 15, 45, 24, 38, 24)}" z_order="2" group_id="3"/>"""
    labels = "".join(f"<label><name>{name}</name></label>" for name in COLOURS)
    image = f'<image id="0" name="a.png" width="48" height="30">{shapes}</image>'
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "annotations.xml").write_text(f"<annotations>{meta}{image}</annotations>")
    photo(tmp_path / "src" / "images" / "a.png", (30, 48))
    run(tmp_path / "src", tmp_path / "dst", "cvat", overlap="last-on-top", stuff=("road",))
    found = masks_by_class(tmp_path / "dst", 0)
    classes, objects = (np.asarray(Image.open(MASKS / f"Segmentation{kind}" / "a.png")) for kind in ("Class", "Object"))
    for name, colour in COLOURS.items():
        inside = (classes == colour).all(axis=-1)
        wanted = {(inside & (objects == own).all(axis=-1)).tobytes() for own in np.unique(objects[inside], axis=0)}
        assert {mask.tobytes() for mask in found[name]} == wanted, name
    assert sum(mask.sum() for masks in found.values() for mask in masks) == (classes > 0).any(axis=-1).sum()
