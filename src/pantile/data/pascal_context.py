"""PASCAL-Context (Mottaghi et al., CVPR 2014) in the folders of VOC2010, with labels as public preparations write them.

::

    root/JPEGImages/<key>.jpg                             root is VOC2010, or the folder that holds it
    root/SegmentationClassContext/<key>.png               8 bits, 0 background, 1..59 the class
    root/ImageSets/SegmentationContext/<split>.txt        keys, train or val

Of 60 classes background is one, as in the figures that are usually reported; of 59 it is void.
"""

from functools import partial
from pathlib import Path

from pantile.contracts.errors import NoSplit, UserError
from pantile.data.class_values import ClassValues
from pantile.data.classes.pascal_context import TAXONOMY_59, TAXONOMY_60
from pantile.data.label_files import INDEXED_8, read_label
from pantile.data.layouts import register_layout
from pantile.data.paired_files import FileSet
from pantile.data.semantic_files import SemanticFiles, listed_keys, read_key_list

LABELS, LISTS = "SegmentationClassContext", "ImageSets/SegmentationContext"
TAXONOMIES = {59: TAXONOMY_59, 60: TAXONOMY_60}
VOID = 255  # of padding in preparations that crop


def is_pascal_context(root: Path) -> bool:
    return _voc(root) is not None


def _splits(root: Path) -> list[str]:
    voc = _voc(root)
    return [split for split in ("train", "val") if voc is not None and (voc / LISTS / f"{split}.txt").is_file()]


@register_layout(
    "pascal-context",
    "PASCAL-Context",
    marks="SegmentationClassContext with ImageSets/SegmentationContext",
    fits=is_pascal_context,
    splits=_splits,
)
class PascalContext(SemanticFiles):
    """Images and maps of one split; image ids are the names without ``.jpg``.

    Args:
        root: the folder ``VOC2010``, or the one that holds it.
        split: ``"train"`` or ``"val"``.
        skip_missing: leaves out images of which a file is missing, with a warning.
        classes: 60, or 59 to make background void.

    Raises:
        UserError: a missing split or file, or another number of classes.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False, classes: int = 60) -> None:
        if classes not in TAXONOMIES:
            raise UserError(f"PASCAL-Context has 59 or 60 classes, not {classes}: choose one of both.")
        voc = _voc(Path(root)) or Path(root)
        images, labels = FileSet(voc / "JPEGImages", ".jpg"), FileSet(voc / LABELS, ".png")
        keys = voc / LISTS / f"{split}.txt"
        if not keys.is_file():
            raise NoSplit(f"{voc} has no split {split!r} ({keys} is not a file)", "train or val")
        taxonomy = TAXONOMIES[classes]
        values = ClassValues.of(taxonomy.index_of_id, {0, VOID} - set(taxonomy.index_of_id))
        found = listed_keys(images, labels, read_key_list(keys), keys, skip_missing)
        super().__init__(taxonomy, found, images, labels, values, partial(read_label, kinds=INDEXED_8))


def _voc(root: Path) -> Path | None:
    places = (root, root / "VOC2010", root / "VOCdevkit" / "VOC2010")
    return next((own for own in places if (own / LABELS).is_dir() and (own / LISTS).is_dir()), None)
