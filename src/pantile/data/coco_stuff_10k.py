"""COCO-Stuff-10k (Caesar et al., CVPR 2018), 9,000 images to train and 1,000 to test: 171 classes.

::

    root/imageLists/<split>.txt                     train or test, names without ending
    root/images/<name>.jpg
    root/annotations/<name>.mat                     field S: version 1.1 holds ids 1..182, 0 none; version 1.0, HDF5,
                                                    2..172 (1 + class number), 1 none
    root/images/<split>2014/<name>.jpg              and, as mmsegmentation converts them,
    root/annotations/<split>2014/<name>_labelTrainIds.png           8 bits, 1..171, 0 none
    root/{images,annotations}_detectron2/<split>/<name>.{jpg,png}   as MaskFormer does: 8 bits, 0..170, 255 none

The two versions of the archive differ in numbering *and* in the kind of file, so the file says which it is.
"""

from functools import partial
from pathlib import Path

import numpy as np

from pantile.contracts.errors import NoSplit
from pantile.contracts.panoptic import PanopticMap
from pantile.data.class_values import ClassValues
from pantile.data.classes.coco_stuff import TAXONOMY
from pantile.data.label_files import INDEXED_8, read_label
from pantile.data.layouts import register_layout
from pantile.data.mat_labels import is_hdf5, read_mat_label
from pantile.data.paired_files import FileSet, check_split, paired_keys
from pantile.data.semantic_files import SemanticFiles, listed_keys, read_key_list

VERSION_1_1 = ClassValues.of(TAXONOMY.index_of_id, [0])
VERSION_1_0 = ClassValues.of({k + 2: k for k in range(len(TAXONOMY))}, [1])
FROM_1 = ClassValues.of({k + 1: k for k in range(len(TAXONOMY))}, [0])
FROM_0 = ClassValues.of({k: k for k in range(len(TAXONOMY))}, [255])
SPLITS = {"val": "test", "validation": "test"}  # what is not trained on


def is_coco_stuff_10k(root: Path) -> bool:
    lists = any((root / "imageLists" / f"{split}.txt").is_file() for split in ("train", "test"))
    return (lists and (root / "annotations").is_dir()) or any(
        labels.folder.is_dir() for split in ("train", "test") for _, labels, _ in _converted(root, split)
    )


def _splits(root: Path) -> list[str]:
    def present(split: str) -> bool:
        archive = (root / "imageLists" / f"{split}.txt").is_file()
        return archive or any(labels.folder.is_dir() for _, labels, _ in _converted(root, split))

    return [name for name, split in (("train", "train"), ("val", "test")) if present(split)]


@register_layout(
    "coco-stuff-10k",
    "COCO-Stuff-10k",
    marks="imageLists with annotations, or annotations/train2014",
    fits=is_coco_stuff_10k,
    splits=_splits,
)
def open_coco_stuff_10k(root: str | Path, split: str = "train", skip_missing: bool = False) -> SemanticFiles:
    """The converted PNGs where there are any, else the archive; image ids are the names without ``.jpg``.

    Args:
        root: the folder that holds ``annotations``.
        split: ``"train"``, or ``"test"`` or ``"val"``.
        skip_missing: leaves out images of which a file is missing, with a warning.

    Raises:
        UserError: a missing split or file.
    """
    root, split = Path(root), SPLITS.get(split, split)
    for images, labels, values in _converted(root, split):
        if labels.folder.is_dir():
            check_split(root, images.folder, [labels.folder], split)
            keys = paired_keys(images, labels, skip_missing=skip_missing)
            return SemanticFiles(TAXONOMY, keys, images, labels, values, partial(read_label, kinds=INDEXED_8))
    return CocoStuff10k(root, split, skip_missing)


class CocoStuff10k(SemanticFiles):
    """The archive's own folders; see ``open_coco_stuff_10k``."""

    def __init__(self, root: Path, split: str, skip_missing: bool = False) -> None:
        images, labels = FileSet(root / "images", ".jpg"), FileSet(root / "annotations", ".mat")
        keys = root / "imageLists" / f"{split}.txt"
        if not keys.is_file():
            raise NoSplit(f"{root} has no split {split!r} ({keys} is not a file)", "train or test")
        found = listed_keys(images, labels, read_key_list(keys), keys, skip_missing)
        super().__init__(TAXONOMY, found, images, labels, VERSION_1_1, read_mat_label, size=_size)

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        values = VERSION_1_0 if is_hdf5(path) else VERSION_1_1
        return values.to_map(read_mat_label(path), path)


def _size(path: Path) -> tuple[int, int]:
    height, width = np.shape(read_mat_label(path))
    return height, width


def _converted(root: Path, split: str) -> tuple[tuple[FileSet, FileSet, ClassValues], ...]:
    mmseg, detectron2 = f"{split}2014", "_detectron2"
    return (
        (
            FileSet(root / "images" / mmseg, ".jpg"),
            FileSet(root / "annotations" / mmseg, "_labelTrainIds.png"),
            FROM_1,
        ),
        (
            FileSet(root / f"images{detectron2}" / split, ".jpg"),
            FileSet(root / f"annotations{detectron2}" / split, ".png"),
            FROM_0,
        ),
    )
