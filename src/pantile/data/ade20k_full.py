"""ADE20K-Full: the release of 2021 with 847 classes, in 16-bit labels as two public preparations lay them out.

::

    root/images_detectron2/<split>/<key>.jpg            training or validation; as MaskFormer's preparation writes them:
    root/annotations_detectron2/<split>/<key>.tif       or .png: 0..846 the class, 65535 none
    root/<split>/image/<key>.jpg                        train or val; as RankSeg's configuration expects them:
    root/<split>/label/<key>.png                        or .tif: 1..847 the class, 0 none

Files of one kind in the folders of the other would shift every class by one and make the first, wall, void, without a
word. So some labels are looked at when the data set is opened: 65535 occurs only where classes count from 0, 847 only
where they count from 1, and what they tell goes before the folders' habit.

The release itself (``*_seg.png``) is converted with ``pantile data convert --from ade20k-847``.
"""

import warnings
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.data.class_values import ClassValues
from pantile.data.classes.ade20k_full import TAXONOMY
from pantile.data.labels_16bit import read_label_16
from pantile.data.layouts import register_layout
from pantile.data.paired_files import FileSet, check_split, paired_keys
from pantile.data.semantic_files import SemanticFiles

VOID_FROM_0, LAST_FROM_1 = 65535, len(TAXONOMY)
_HINT = "In files that count classes from {first}, void is {void}; do not mix both kinds in one data set."
FROM_0 = ClassValues.of({k: k for k in range(len(TAXONOMY))}, [VOID_FROM_0], _HINT.format(first=0, void=VOID_FROM_0))
FROM_1 = ClassValues.of({k + 1: k for k in range(len(TAXONOMY))}, [0], _HINT.format(first=1, void=0))
LOOKED_AT = 16  # labels, evenly from all


def _splits(root: Path) -> list[str]:
    return [split for split in ("train", "val") if any(labels.keys() for _, labels, _ in _forms(root, split))]


def is_ade20k_full(root: Path) -> bool:
    return any(
        images.folder.is_dir() and labels.folder.is_dir() and any(labels.folder.glob(f"*{labels.suffix}"))
        for split in ("train", "val")
        for images, labels, _ in _forms(root, split)
    )


@register_layout(
    "ade20k-full-16bit",
    "ADE20K-Full",
    marks="images_detectron2 with annotations_detectron2, or train/image with train/label",
    fits=is_ade20k_full,
    splits=_splits,
)
class Ade20kFull(SemanticFiles):
    """Images and maps of one split: category ids are the codes of the release, image ids the names without ``.jpg``.

    Args:
        root: the folder that holds ``images_detectron2``, or ``train`` and ``val``.
        split: ``"train"`` or ``"training"``, ``"val"`` or ``"validation"``.
        skip_missing: leaves out images of which a file is missing, with a warning.

    Raises:
        UserError: a missing split or file, 8-bit labels, or labels of both ways to count.

    Warns:
        UserWarning: labels count classes in another way than is usual in their folder.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root = Path(root)
        short = {"training": "train", "validation": "val"}.get(split, split)
        forms = _forms(root, short)
        images, labels, usual = next((form for form in forms if form[1].keys()), forms[0])
        check_split(root, images.folder, [labels.folder], split)
        keys = paired_keys(images, labels, skip_missing=skip_missing)
        values = _numbering([labels.path(keys[k * len(keys) // LOOKED_AT]) for k in range(LOOKED_AT)], usual)
        super().__init__(TAXONOMY, keys, images, labels, values, read_label_16)


def _forms(root: Path, split: str) -> list[tuple[FileSet, FileSet, ClassValues]]:
    long = {"train": "training", "val": "validation"}.get(split, split)
    places = (
        (root / "images_detectron2" / long, root / "annotations_detectron2" / long, FROM_0),
        (root / split / "image", root / split / "label", FROM_1),
    )
    return [
        (FileSet(images, ".jpg"), FileSet(labels, suffix), values)
        for images, labels, values in places
        for suffix in (".tif", ".png")
    ]


def _numbering(paths: list[Path], usual: ClassValues) -> ClassValues:
    """How these labels count, by values that only one way has; ``usual`` where none of them occurs."""
    told: dict[int, Path] = {}
    for path in dict.fromkeys(paths):
        values = read_label_16(path)
        for value in (VOID_FROM_0, LAST_FROM_1):
            if np.any(values == value):
                told.setdefault(value, path)
    if len(told) == 2:
        raise UserError(
            f"{told[VOID_FROM_0]} counts its classes from 0 ({VOID_FROM_0} is void) but {told[LAST_FROM_1]} from 1 "
            f"(it has a class {LAST_FROM_1}): write all labels anew in one way."
        )
    if not told:
        return usual
    (value, path) = next(iter(told.items()))
    values, first = (FROM_0, 0) if value == VOID_FROM_0 else (FROM_1, 1)
    if values is not usual:
        warnings.warn(
            f"{path} has pixels of value {value}, so its classes count from {first}, though labels in such a folder "
            f"usually count from {1 - first}: all labels of this split are read as counting from {first}.",
            stacklevel=4,
        )
    return values
