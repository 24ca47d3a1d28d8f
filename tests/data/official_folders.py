"""Writes tiny data sets in official layouts: names of files, bit depths, palettes and JSON fields as published."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from data.mapillary_labels import config_of


def save(pixels: np.ndarray, path: Path) -> Path:
    """(H, W) uint8, (H, W) uint16 or (H, W, 3) uint8; 16 bits become a 16-bit grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_palette(indices: np.ndarray, path: Path) -> Path:
    """(H, W) uint8 as a PNG with a palette, whose colours differ from the indices."""
    image = Image.fromarray(indices).convert("P")
    image.putpalette([(7 * k + 50) % 256 for k in range(768)])
    image.putdata(indices.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def photo(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def png_header(path: Path) -> tuple[int, int]:
    """Bit depth and colour type as the file says: 0 grey, 2 RGB, 3 palette."""
    content = path.read_bytes()
    return content[24], content[25]


def write_cityscapes(root: Path, split: str, instance_ids: dict[str, np.ndarray]) -> None:
    """
    Args:
        instance_ids: key ``<city>_<sequence>_<frame>`` to the official values.
    """
    for key, values in instance_ids.items():
        city = key.split("_")[0]
        labels = np.where(values >= 1000, values // 1000, values).astype(np.uint8)
        save(photo(values.shape), root / "leftImg8bit" / split / city / f"{key}_leftImg8bit.png")
        save(values.astype(np.uint16), root / "gtFine" / split / city / f"{key}_gtFine_instanceIds.png")
        save(labels, root / "gtFine" / split / city / f"{key}_gtFine_labelIds.png")
        (root / "gtFine" / split / city / f"{key}_gtFine_polygons.json").write_text("{}")


def write_ade20k(
    root: Path,
    split: str,
    semantic: dict[str, np.ndarray],
    instances: dict[str, np.ndarray] | None = None,
) -> None:
    """
    Args:
        semantic: key to (H, W) 0..150.
        instances: key to (H, W, 2): category 1..100 and number; None leaves annotations_instance out.
    """
    for key, values in semantic.items():
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(values.shape)).save(root / "images" / split / f"{key}.jpg")
        save(values.astype(np.uint8), root / "annotations" / split / f"{key}.png")
        if instances is not None:
            rgb = np.dstack([instances[key], np.zeros(values.shape)]).astype(np.uint8)
            save(rgb, root / "annotations_instance" / split / f"{key}.png")


def write_json(path: Path, images: list[dict], annotations: list[dict], categories: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def write_mapillary(root: Path, version: str, split: str, codes: dict[str, np.ndarray], nested: bool) -> Path:
    """Images, labels and instances of a split, and the config.

    Args:
        version: ``"v1.2"`` or ``"v2.0"``.
        codes: key to (H, W) label id * 256 + number.
        nested: labels below a folder of the version's name, as in the archive of 2.0; else ``config.json`` and none.

    Returns:
        the folder of ``labels`` and ``instances``.
    """
    config = root / (f"config_{version}.json" if nested else "config.json")
    root.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(config_of(version)))
    folder = root / split / version if nested else root / split
    for key, values in codes.items():
        (root / split / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(values.shape)).save(root / split / "images" / f"{key}.jpg")
        save(values.astype(np.uint16), folder / "instances" / f"{key}.png")
        save_palette((values // 256).astype(np.uint8), folder / "labels" / f"{key}.png")
    return folder
