"""Tiny folders in every format, written by hand: what the tools' documentation says, not what our writers do."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data import CocoPanoptic
from pantile.labels import ConvertOptions, ReadOptions, Report, convert

TAXONOMY = Taxonomy(
    (
        ClassInfo("cat", True, 3, (200, 0, 0)),
        ClassInfo("grass", False, 7, (0, 200, 0)),
        ClassInfo("dog", True, 12, (0, 0, 200)),
        ClassInfo("sky", False, 250, (0, 200, 200)),
    )
)
CATEGORIES = [{"id": 3, "name": "cat", "isthing": 1}, {"id": 7, "name": "grass", "isthing": 0}]


def save(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def photo(path: Path, size: tuple[int, int] = (8, 10), seed: int = 0) -> Path:
    return save(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8), path)


def write_json(data: object, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def png_text(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def counts_text(size: tuple[int, int] = (8, 10)) -> str:
    """Compressed run lengths of the lower right quarter."""
    mask = np.zeros(size, dtype=np.uint8, order="F")
    mask[size[0] // 2 :, size[1] // 2 :] = 1
    return coco_mask.encode(mask)["counts"].decode()


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """A polygon in COCO's flat form whose rasterisation is ``[top:bottom, left:right]``."""
    return [left, top, right, top, right, bottom, left, bottom]


def instances_json(annotations: list[dict], size: tuple[int, int] = (8, 10), names: tuple = ("a.png",)) -> dict:
    images = [{"id": k + 1, "file_name": n, "height": size[0], "width": size[1]} for k, n in enumerate(names)]
    rows = [{"id": k + 1, "image_id": 1, "category_id": 3, "iscrowd": 0} | a for k, a in enumerate(annotations)]
    return {"images": images, "annotations": rows, "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "grass"}]}


def write_instances(root: Path, annotations: list[dict], size: tuple[int, int] = (8, 10)) -> Path:
    photo(root / "train" / "a.png", size)
    write_json(instances_json(annotations, size), root / "annotations" / "instances_train.json")
    return root


def write_labelme(root: Path, shapes: list[dict], size: tuple[int, int] = (8, 10)) -> Path:
    photo(root / "a.jpg", size)
    rows = [{"label": "cat", "shape_type": "polygon", "group_id": None, "flags": {}} | shape for shape in shapes]
    data = {"version": "5.4.1", "flags": {}, "shapes": rows, "imagePath": "a.jpg", "imageData": None}
    write_json(data | {"imageHeight": size[0], "imageWidth": size[1]}, root / "a.json")
    return root


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>cat</name></label><label><name>grass</name></label></labels></task></meta>
<image id="0" name="a.png" width="{width}" height="{height}">{shapes}</image></annotations>"""


def write_cvat(root: Path, shapes: str, size: tuple[int, int] = (8, 10)) -> Path:
    photo(root / "images" / "a.png", size)
    (root / "annotations.xml").write_text(CVAT.format(width=size[1], height=size[0], shapes=shapes))
    return root


def write_yolo(root: Path, lines: list[str], size: tuple[int, int] = (8, 10)) -> Path:
    photo(root / "images" / "train" / "a.png", size)
    label = root / "labels" / "train" / "a.txt"
    label.parent.mkdir(parents=True)
    label.write_text("\n".join(lines))
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nnames:\n  0: cat\n  1: grass\n")
    return root


def write_pairs(root: Path, classes: np.ndarray, numbers: np.ndarray | None) -> Path:
    photo(root / "images" / "train" / "a.png", classes.shape)
    save(classes, root / "semantic" / "train" / "a.png")
    if numbers is not None:
        save(numbers, root / "instances" / "train" / "a.png")
    write_json(CATEGORIES, root / "classes.json")
    return root


def write_rgb_labels(root: Path, folder: str, classes: np.ndarray, numbers: np.ndarray) -> Path:
    photo(root / "images" / "train" / "a.png", classes.shape)
    pixels = np.stack([classes, numbers, np.zeros_like(classes)], -1).astype(np.uint8)
    save(pixels, root / folder / "a.png")
    write_json(CATEGORIES, root / "classes.json")
    return root


def write_ade20k_full(root: Path, classes: np.ndarray, numbers: np.ndarray, names: dict[int, str]) -> Path:
    folder = root / "images" / "ADE" / "training" / "urban" / "street"
    photo(folder / "ADE_train_00000001.jpg", classes.shape)
    pixels = np.stack([classes // 256 * 10, classes % 256, numbers], -1).astype(np.uint8)
    save(pixels, folder / "ADE_train_00000001_seg.png")
    objects = [{"id": k, "name": name, "name_ndx": ndx} for k, (ndx, name) in enumerate(names.items())]
    write_json({"annotation": {"object": objects}}, folder / "ADE_train_00000001.json")
    return root


class MapData:
    """A ``PanopticDataset`` of maps in memory, for ``write_coco_panoptic``."""

    def __init__(self, maps: list[PanopticMap], taxonomy: Taxonomy = TAXONOMY) -> None:
        self.maps, self.taxonomy = maps, taxonomy

    def __len__(self) -> int:
        return len(self.maps)

    def name_of(self, index: int) -> str:
        return f"image{index}.png"

    def image_id(self, index: int) -> int:
        return index + 1

    def segment_counts(self) -> list[int]:
        return []

    def load_image(self, index: int) -> np.ndarray:
        return np.zeros((*self.maps[index].size, 3), dtype=np.uint8)

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        return self.load_image(index), self.maps[index]


def random_map(seed: int, taxonomy: Taxonomy = TAXONOMY) -> PanopticMap:
    """Blobs of pixels and single pixels: up to nine things, at most one segment per stuff class and crowd per class."""
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 14, 2))
    classes = [int(k) for k in rng.choice(taxonomy.thing_indices, rng.integers(0, 10))]
    rows = [(k, False) for k in classes] + [(k, False) for k in taxonomy.stuff_indices if rng.random() < 0.7]
    rows += [(k, True) for k in taxonomy.thing_indices if rng.random() < 0.4]
    numbers = rng.choice(np.arange(1, 2**24), len(rows), replace=False) if seed % 2 else np.arange(1, len(rows) + 1)
    ids = np.concatenate([[0], numbers])[rng.integers(0, len(rows) + 1, size)]
    left, top = rng.integers(0, 6, 2)
    ids[top : top + 4, left : left + 5] = numbers[0] if len(rows) else 0
    present = set(np.unique(ids).tolist())
    segments = [Segment(int(i), *row) for i, row in zip(numbers, rows, strict=True) if int(i) in present]
    return PanopticMap(ids.astype(np.int32), tuple(segments))


def meaning(panoptic: PanopticMap, taxonomy: Taxonomy) -> set[tuple]:
    """The map without its choice of ids: a set of (class name, crowd, pixels)."""
    return {
        (taxonomy.names[s.class_index], s.is_crowd, tuple(np.flatnonzero(panoptic.ids == s.id).tolist()))
        for s in panoptic.segments
    }


def run(src: Path, dst: Path, source: str, target: str = "coco-panoptic", **options) -> Report:
    """``convert`` with the fields of both kinds of options."""
    names = ("overlap", "gap", "link", "crowd_as_instances", "unreadable")
    own = {key: options.pop(key) for key in names if key in options}
    return convert(src, dst, ConvertOptions(source, target, ReadOptions(**options), **own))


def result(dst: Path, split: str = "train") -> set[tuple]:
    """The meaning of the first image of a COCO-panoptic folder."""
    data = CocoPanoptic(dst, split)
    return meaning(data.load(0)[1], data.taxonomy)


def pixels_of(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())


def rectangle(rows: slice, columns: slice, size: tuple[int, int] = (8, 10)) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[rows, columns] = True
    return mask


def assert_books_balance(report: Report) -> None:
    """Every segment and pixel that went in came out, or the report says where it went."""
    for name in report.taxonomy.names:
        covered = report.dropped[name, "covered entirely by other segments"]
        lost = [counts for (own, _), counts in report.lost.items() if own == name]
        beaten = sum(n for (_, below), n in report.decided.items() if below == name)
        assert report.segments_in[name] == report.segments_out[name] + covered + sum(n for n, _ in lost), name
        assert report.pixels_in[name] == report.pixels_out[name] + beaten + sum(n for _, n in lost), name
