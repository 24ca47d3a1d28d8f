"""A tiny COCO-panoptic folder without any fault, into which tests plant one."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labels.tiny_labels import photo, save, write_json
from pantile.contracts.panoptic import ids_to_rgb

SIZE = (12, 20)
CATEGORIES = [{"id": 3, "name": "cat", "isthing": 1}, {"id": 7, "name": "grass", "isthing": 0}]


def clean_ids() -> np.ndarray:
    """A thing 5 of 6x8 pixels, stuff 300 below, void above: 48, 120 and 72 pixels."""
    ids = np.zeros(SIZE, dtype=np.int32)
    ids[6:], ids[:6, 2:10] = 300, 5
    return ids


def clean_rows() -> list[dict]:
    return [
        {"id": 5, "category_id": 3, "iscrowd": 0, "area": 48, "bbox": [2, 0, 8, 6]},
        {"id": 300, "category_id": 7, "iscrowd": 0, "area": 120, "bbox": [0, 6, 20, 6]},
    ]


def write_folder(root: Path) -> Path:
    """Splits train (a, b) and val (c)."""
    for split, names in (("train", "ab"), ("val", "c")):
        for seed, name in enumerate(names):
            photo(root / split / f"{name}.png", SIZE, seed=seed + 10 * (split == "val"))
            write_ids(root, clean_ids(), split, name)
        images = [{"id": k, "file_name": f"{n}.png", "height": 12, "width": 20} for k, n in enumerate(names)]
        rows = [{"image_id": k, "file_name": f"{n}.png", "segments_info": clean_rows()} for k, n in enumerate(names)]
        data = {"info": {"year": 2024}, "images": images, "annotations": rows, "categories": CATEGORIES}
        write_json(data, json_of(root, split))
    return root


def json_of(root: Path, split: str = "train") -> Path:
    return root / "annotations" / f"panoptic_{split}.json"


def png_of(root: Path, split: str = "train", name: str = "a") -> Path:
    return root / "annotations" / f"panoptic_{split}" / f"{name}.png"


def write_ids(root: Path, ids: np.ndarray, split: str = "train", name: str = "a") -> None:
    save(ids_to_rgb(ids), png_of(root, split, name))


def edit(root: Path, change: Callable[[dict], object], split: str = "train") -> None:
    """Changes the JSON of a split in place."""
    data = json.loads(json_of(root, split).read_text())
    change(data)
    json_of(root, split).write_text(json.dumps(data))


def rows_of(data: dict) -> list[dict]:
    """Of the first image."""
    return data["annotations"][0]["segments_info"]


def tree_hash(root: Path) -> str:
    """Of every name and every byte below a folder."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_mtime_ns}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()
