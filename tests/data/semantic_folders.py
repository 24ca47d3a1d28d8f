"""Writes tiny data sets whose labels are a class per pixel, in the layouts of their archives and preparations."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from data.official_folders import photo, save


def save_photo(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(size)).save(path)


def write_list(path: Path, keys: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}\n" for key in keys))
    return path


def write_pascal_context(root: Path, split: str, labels: dict[str, np.ndarray]) -> None:
    """Labels 0..59; one photo and label more than the list of the split names."""
    write_list(root / "ImageSets" / "SegmentationContext" / f"{split}.txt", list(labels))
    for key, values in [*labels.items(), ("2008_999999", np.zeros((3, 3)))]:
        save_photo(root / "JPEGImages" / f"{key}.jpg", values.shape)
        save(values.astype(np.uint8), root / "SegmentationClassContext" / f"{key}.png")


def write_coco_stuff_164k(root: Path, split: str, labels: dict[str, np.ndarray], folder: str = "annotations") -> None:
    """Labels id - 1, 255 for none; ``split`` is train2017 or val2017."""
    for key, values in labels.items():
        save_photo(root / "images" / split / f"{key}.jpg", values.shape)
        save(values.astype(np.uint8), root / folder / split / f"{key}.png")


def write_coco_stuff_10k(root: Path, split: str, labels: dict[str, np.ndarray]) -> None:
    """The archive of version 1.1: labels 1..182, 0 for none; ``split`` is train or test."""
    write_list(root / "imageLists" / f"{split}.txt", list(labels))
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for key, values in labels.items():
        save_photo(root / "images" / f"{key}.jpg", values.shape)
        savemat(root / "annotations" / f"{key}.mat", {"S": values.astype(np.uint8), "names": ["unlabeled"]})


def write_ade20k_full(root: Path, split: str, labels: dict[str, np.ndarray], suffix: str = ".tif") -> None:
    """As MaskFormer's preparation: 0..846, 65535 for none; ``split`` is training or validation."""
    for key, values in labels.items():
        save_photo(root / "images_detectron2" / split / f"{key}.jpg", values.shape)
        save(values.astype(np.uint16), root / "annotations_detectron2" / split / f"{key}{suffix}")


def write_ade20k_full_from_1(root: Path, split: str, labels: dict[str, np.ndarray]) -> None:
    """As RankSeg's configuration expects it: 1..847, 0 for none; ``split`` is train or val."""
    for key, values in labels.items():
        save_photo(root / split / "image" / f"{key}.jpg", values.shape)
        save(values.astype(np.uint16), root / split / "label" / f"{key}.png")


def write_coco_lvis(root: Path, split: str, labels: dict[str, np.ndarray]) -> None:
    """1..1284, 0 for none; one photo more than labels. ``split`` is train2017 or val2017."""
    for key, values in labels.items():
        save_photo(root / "images" / split / f"{key}.jpg", values.shape)
        save(values.astype(np.uint16), root / "lvis_mask" / split / f"{key}.png")
    save_photo(root / "images" / split / "000000999999.jpg", (3, 3))
