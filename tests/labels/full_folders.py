"""Folders of every label format in which things are missing, nested, void, doubled, unknown and without area.

A maker writes a folder from random numbers and says what is in it; ``test_nothing_vanishes`` looks for all of it.
"""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from labels.tiny_labels import CATEGORIES, TAXONOMY, MapData, photo, random_map, save, write_json
from pantile.data import write_coco_panoptic

SIZE = (8, 10)
NAMES = ("a", "city/a", "city/b", "deep/er/c")


@dataclass
class Content:
    """What is in a folder.

    Attributes:
        images: that exist or that labels name.
        annotations: of all images, also of those that are missing.
        classes: that the files list, or that occur where they list none.
        files: labels that belong to no image.
    """

    images: int = 0
    annotations: int = 0
    classes: int = 0
    files: int = 0


def polygon(rng: np.random.Generator) -> list[list[float]]:
    """A box, or what has no pixel: two points, none, or a box outside."""
    left, top = rng.integers(0, 6, 2).tolist()
    kind = rng.integers(0, 6)
    if kind == 0:
        return [[left, top], [left + 3, top]]
    shift = 40 if kind == 1 else 0
    box = [(left, top), (left + 3, top), (left + 3, top + 2), (left, top + 2)]
    return [[x + shift, y] for x, y in box]


def some(rng: np.random.Generator) -> list[int]:
    return list(range(int(rng.integers(0, 4))))


def exists(rng: np.random.Generator, k: int) -> bool:
    """Whether an image is there; the first is."""
    return k == 0 or rng.random() < 0.7


def extra(rng: np.random.Generator, folder: Path, *beside: Path) -> int:
    """Images that no label names: in a folder and one in it, and beside the folders of splits.

    Args:
        folder: where photos of labels lie.
        beside: other folders, in which one may lie.
    """
    places = [folder / "x.png", folder / "city" / "x.png", *(own / "beside.png" for own in beside)]
    chosen = [place for place in places if rng.random() < 0.5]
    for place in chosen:
        photo(place, SIZE)
    return len(chosen)


def alone(rng: np.random.Generator, *folders: Path, channels: tuple[int, ...] = ()) -> int:
    """Label PNGs that are of no image."""
    chosen = [folder for folder in folders if rng.random() < 0.5]
    for folder in chosen:
        save(np.zeros((*SIZE, *channels), dtype=np.uint8), folder / "alone.png")
    return len(chosen)


def coco_instances(root: Path, rng: np.random.Generator) -> Content:
    big = 10**12 if rng.random() < 0.5 else 0
    rows = [{"id": big + k, "name": name, "supercategory": "pet"} for k, name in ((1, "cat"), (2, "pet"))]
    if root_too := rng.random() < 0.5:
        rows = [{"id": 0, "name": "pet", "supercategory": "none", "color": "#00ff00"}, *rows]
    content = Content(classes=2 + root_too)
    images, annotations = [], []
    for k, name in enumerate(NAMES):
        images.append({"id": k, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]})
        if exists(rng, k):
            photo(root / "train" / f"{name}.png", SIZE)
        for _ in some(rng):
            flat = [value for point in polygon(rng) for value in point]
            category = big + int(rng.integers(1, 4))  # the last is unknown
            row = {"image_id": k, "category_id": category, "iscrowd": [0, 1, None][rng.integers(3)]}
            annotations.append(
                {"id": len(annotations)} | row | ({"segmentation": [flat]} if rng.random() < 0.9 else {})
            )
    data = {"images": images, "annotations": annotations, "categories": rows}
    write_json(data, root / "annotations" / "instances_train.json")
    content.images, content.annotations = len(images) + extra(rng, root / "train", root), len(annotations)
    return content


def labelme(root: Path, rng: np.random.Generator) -> Content:
    content, used = Content(), set()
    for k, name in enumerate(NAMES):
        shapes = []
        for _ in some(rng):
            label = ["cat", "dog", "__ignore__", "_background_"][rng.integers(4)]
            kind = ["polygon", "polygon", "rectangle", "line", "circle"][rng.integers(5)]
            points = polygon(rng)
            points = points if kind == "polygon" or (kind == "rectangle" and len(points) == 4) else points[:2]
            shapes.append(
                {"label": label, "points": points, "shape_type": kind, "group_id": [None, 1][rng.integers(2)]}
            )
            used.add(label)
        buffer = io.BytesIO()
        Image.new("RGB", SIZE[::-1], (k, 0, 0)).save(buffer, format="PNG")
        there = exists(rng, k)
        if there:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / f"{name}.png").write_bytes(buffer.getvalue())
        inside = base64.b64encode(buffer.getvalue()).decode() if rng.random() < 0.5 else None
        data = {"shapes": shapes, "imagePath": f"{Path(name).name}.png", "imageData": inside, "imageHeight": SIZE[0]}
        write_json(data | {"imageWidth": SIZE[1]}, root / f"{name}.json")
        content.annotations += len(shapes)
    if not used - {"__ignore__", "_background_"}:
        more = {"label": "cat", "points": polygon(rng), "shape_type": "polygon"}
        write_json({"shapes": [more], "imagePath": "more.png"}, root / "more.json")
        photo(root / "more.png", SIZE)
        content.annotations, content.images = content.annotations + 1, 1
        used.add("cat")
    content.images += len(NAMES) + extra(rng, root)
    content.classes = len(used)
    return content


def cvat(root: Path, rng: np.random.Generator) -> Content:
    content, entries = Content(classes=2), []
    for k, name in enumerate(NAMES):
        if exists(rng, k):
            photo(root / "images" / f"{name}.png", SIZE)
        shapes = ""
        for _ in some(rng):
            label = ["cat", "dog"][rng.integers(2)]
            points = ";".join(f"{x},{y}" for x, y in polygon(rng))
            group = f'group_id="{rng.integers(0, 2)}"'
            tag = ["polygon", "polygon", "polyline", "points"][rng.integers(4)]
            shapes += f'<{tag} label="{label}" points="{points}" {group} z_order="0"/>'
            content.annotations += 1
        size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
        entries.append(f'<image id="{k}" name="{name}.png" {size}>{shapes}</image>')
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog"))
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    (root / "annotations.xml").write_text(f"<annotations>{meta}{''.join(entries)}</annotations>")
    content.images = len(NAMES) + extra(rng, root / "images", root)
    return content


def yolo(root: Path, rng: np.random.Generator) -> Content:
    content, listed = Content(classes=2), rng.random() < 0.5
    for k, name in enumerate(NAMES):
        there = exists(rng, k)
        if there:
            photo(root / "images" / "train" / f"{name}.png", SIZE)
        content.images += there or listed
        lines = []
        for _ in some(rng):
            flat = [f"{value / 10:.3f}" for point in polygon(rng) for value in point]
            lines.append(" ".join([str(rng.integers(0, 3)), *flat]))
        if rng.random() < 0.8 and (there or listed):
            label = root / "labels" / "train" / f"{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(lines))
            content.annotations += len(lines)
            content.files += not there
    beside = extra(rng, root / "images" / "train", root / "images", root / "images" / "more", root)
    content.images += beside
    if listed:
        (root / "train.txt").write_text("\n".join(f"/content/mine/images/train/{name}.png" for name in NAMES))
    (root / "data.yaml").write_text(f"train: {'train.txt' if listed else 'images/train'}\nnames: [cat, dog]\n")
    return content


def _label_pngs(bases: tuple[str, str | None], as_rgb: bool) -> Callable[[Path, np.random.Generator], Content]:
    """Of the ids of cat (3) and grass (7); the numbers go into a second PNG or a second channel."""

    def make(root: Path, rng: np.random.Generator) -> Content:
        content = Content(classes=len(CATEGORIES))
        for k, name in enumerate(NAMES):
            classes = rng.choice([0, 3, 7], (3, 4)).astype(np.uint8)
            numbers = rng.integers(1, 4, classes.shape).astype(np.uint8)
            there = exists(rng, k)
            if there:
                photo(root / "images" / "train" / f"{name}.png", classes.shape)
                counted = numbers if as_rgb or bases[1] else 0 * numbers
                content.annotations += len(set(counted[classes == 3].tolist())) + int((classes == 7).any())
            content.images += 1
            if as_rgb:
                save(np.stack([classes, numbers, 0 * classes], -1), root / bases[0] / "train" / f"{name}.png")
                continue
            save(classes, root / bases[0] / "train" / f"{name}.png")
            if bases[1]:
                save(numbers, root / bases[1] / "train" / f"{name}.png")
                content.files += not there
        write_json(CATEGORIES, root / "classes.json")
        images = root / "images"
        content.images += extra(rng, images / "train", images, images / "more", root)
        channels = (3,) if as_rgb else ()
        content.files += alone(rng, *(root / base for base in bases if base), channels=channels)
        content.files += alone(rng, root / bases[1] / "train") if bases[1] else 0
        return content

    return make


def coco_panoptic(root: Path, rng: np.random.Generator) -> Content:
    maps = [random_map(int(rng.integers(10**6))) for _ in range(3)]
    write_coco_panoptic(MapData(maps), root, "train")
    segments = sum(len(panoptic.segments) for panoptic in maps)
    files = alone(rng, root / "annotations" / "panoptic_train")
    return Content(len(maps) + extra(rng, root / "train", root), segments, len(TAXONOMY), files)


def described(root: Path, rng: np.random.Generator) -> Content:
    content, images = Content(classes=2), root / "images"
    for k, name in enumerate(NAMES):
        classes, numbers = rng.choice([0, 1, 2], SIZE), rng.integers(1, 4, SIZE)
        photo(images / "train" / f"{name}.png", SIZE)
        save(classes.astype(np.uint8), root / "semantic" / "train" / f"{name}.png")
        if exists(rng, k):
            save(numbers.astype(np.uint16), root / "instances" / "train" / f"{name}.png")
            content.annotations += len(set(numbers[classes == 1].tolist())) + int((classes == 2).any())
    (root / "dataset.yaml").write_text("classes: [{name: cat, thing: true}, {name: grass, thing: false}]")
    content.images = len(NAMES) + extra(rng, images / "train", images, images / "more", root)
    content.files = alone(rng, root / "semantic", root / "instances", root / "instances" / "train")
    return content


def ade20k_full(root: Path, rng: np.random.Generator) -> Content:
    content = Content(classes=2)
    for k in range(len(NAMES)):
        folder, stem = root / "images" / "training" / str(k), f"ADE_train_{k}"
        classes, numbers = rng.choice([0, 401, 312], (3, 4)), rng.integers(1, 4, (3, 4))
        there = exists(rng, k)
        if there:
            photo(folder / f"{stem}.jpg", classes.shape)
            content.annotations += len(
                set(zip(classes[classes > 0].tolist(), numbers[classes > 0].tolist(), strict=True))
            )
        content.images += 1
        save(np.stack([classes // 256 * 10, classes % 256, numbers], -1).astype(np.uint8), folder / f"{stem}_seg.png")
        objects = [{"name": f"n{i}", "name_ndx": i} for i in (401, 312)]
        write_json({"annotation": {"object": objects}}, folder / f"{stem}.json")
    if rng.random() < 0.5:
        photo(root / "images" / "training" / "bare.jpg")
        content.images += 1
    return content


MAKERS: dict[str, Callable[[Path, np.random.Generator], Content]] = {
    "coco-instances": coco_instances,
    "labelme": labelme,
    "cvat": cvat,
    "yolo-seg": yolo,
    "png-pairs": _label_pngs(("semantic", "instances"), as_rgb=False),
    "semantic": _label_pngs(("semantic", None), as_rgb=False),
    "two-channel": _label_pngs(("annotations/panoptic_2ch", None), as_rgb=True),
    "three-channel": _label_pngs(("annotations", None), as_rgb=True),
    "coco-panoptic": coco_panoptic,
    "described": described,
    "ade20k-full": ade20k_full,
}

#: a published list says which images belong, and a class per pixel is no count of annotations
CLASS_MAPS = {"ade20k-847", "coco-lvis", "coco-lvis-as-published", "pascal-context-59"}
