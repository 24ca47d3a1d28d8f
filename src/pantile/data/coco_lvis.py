"""COCO+LVIS (Jain et al., ICCV 2021): 1284 classes, instances of LVIS v1 over the stuff of COCO, in RankSeg's folders.

::

    root/images/<split>/<12 digits>.jpg         train2017 or val2017; images without a label do not matter
    root/lvis_mask/<split>/<12 digits>.png      16 bits, 1..1203 LVIS, 1204..1284 stuff, 0 none

``pantile data convert --from coco-lvis`` merges the labels from the two official JSONs.
"""

from functools import partial
from pathlib import Path

from pantile.data.class_values import ClassValues
from pantile.data.classes.coco_lvis import TAXONOMY
from pantile.data.label_files import GREY_16, read_label
from pantile.data.layouts import existing_splits, register_layout
from pantile.data.paired_files import FileSet, check_split
from pantile.data.semantic_files import SemanticFiles, listed_keys

SPLITS = {"train": "train2017", "val": "val2017"}
LABELS = "lvis_mask"
LEFT_OUT = "000000429995"  # of the training images; the original leaves it out too
VALUES = ClassValues.of(TAXONOMY.index_of_id, [0])


def is_coco_lvis(root: Path) -> bool:
    return any((root / LABELS / split).is_dir() for split in SPLITS.values())


def _splits(root: Path) -> list[str]:
    return existing_splits({short: root / LABELS / split for short, split in SPLITS.items()})


@register_layout("coco-lvis-masks", "COCO+LVIS", marks="lvis_mask/train2017", fits=is_coco_lvis, splits=_splits)
class CocoLvis(SemanticFiles):
    """Images and maps of one split; category ids are the stored values, image ids the names without ``.jpg``.

    Args:
        root: the folder that holds ``images`` and ``lvis_mask``.
        split: ``"train"`` or ``"train2017"``, ``"val"`` or ``"val2017"``.
        skip_missing: leaves out labels without image, with a warning.

    Raises:
        UserError: a missing split or file.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root, split = Path(root), SPLITS.get(split, split)
        images, labels = FileSet(root / "images" / split, ".jpg"), FileSet(root / LABELS / split, ".png")
        check_split(root, images.folder, [labels.folder], split)
        keys = labels.keys() - ({LEFT_OUT} if split == SPLITS["train"] else set())
        found = listed_keys(images, labels, keys, labels.folder, skip_missing)
        super().__init__(TAXONOMY, found, images, labels, VALUES, partial(read_label, kinds=(GREY_16,)))
