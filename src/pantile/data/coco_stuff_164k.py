"""COCO-Stuff (Caesar et al., CVPR 2018) on COCO 2017, 164k images: 171 classes.

::

    root/images/<split>/<12 digits>.jpg             or root/<split>; train2017 or val2017
    root/annotations/<split>/<12 digits>.png        or stuffthingmaps_trainval2017/, stuffthingmaps/:
                                                    8 bits, id - 1 with ids 1..182; 255 none
    .../<12 digits>_labelTrainIds.png               as mmsegmentation converts them: class index 0..170, 255 none
    root/stuffthingmaps_detectron2/<split>/*.png    the same

The label list numbers 182 classes, of which eleven have no masks; a pixel of one of these is refused.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pantile.data.class_values import ClassValues
from pantile.data.classes.coco_stuff import TAXONOMY
from pantile.data.label_files import INDEXED_8, read_label
from pantile.data.layouts import register_layout
from pantile.data.paired_files import FileSet, check_split
from pantile.data.semantic_files import SemanticFiles, listed_keys

SPLITS = {"train": "train2017", "val": "val2017"}
CONVERTED = "_labelTrainIds.png"
VOID = 255
STORED = ClassValues.of({info.id - 1: k for k, info in enumerate(TAXONOMY.classes)}, [VOID])
TRAIN_IDS = ClassValues.of({k: k for k in range(len(TAXONOMY))}, [VOID])


@dataclass(frozen=True)
class Form:
    """One way in which labels lie.

    Attributes:
        folder: above that of the split.
        suffix: of the labels' names.
        values: what their numbers mean.
    """

    folder: str
    suffix: str
    values: ClassValues

    def labels(self, root: Path, split: str) -> FileSet:
        return FileSet(root / self.folder / split, self.suffix)

    def keys(self, root: Path, split: str) -> set[str]:
        """Converted labels lie beside the originals and end like them."""
        found = self.labels(root, split).keys()
        return {key for key in found if not f"{key}{self.suffix}".endswith(CONVERTED) or self.suffix == CONVERTED}

    def fits(self, root: Path) -> bool:
        """Whether a split has a file of the form, without listing it all."""
        return any(any((root / self.folder / split).glob(f"[0-9]*{self.suffix}")) for split in SPLITS.values())


FORMS = (
    Form("annotations", ".png", STORED),
    Form("stuffthingmaps_trainval2017", ".png", STORED),
    Form("stuffthingmaps", ".png", STORED),
    Form("annotations", CONVERTED, TRAIN_IDS),
    Form("stuffthingmaps_detectron2", ".png", TRAIN_IDS),
)


def is_coco_stuff_164k(root: Path) -> bool:
    return any(form.fits(root) for form in FORMS)


def _splits(root: Path) -> list[str]:
    return [short for short, split in SPLITS.items() if any(form.keys(root, split) for form in FORMS)]


@register_layout(
    "coco-stuff-164k",
    "COCO-Stuff-164k",
    marks="PNGs in annotations/train2017 or stuffthingmaps",
    fits=is_coco_stuff_164k,
    splits=_splits,
)
class CocoStuff164k(SemanticFiles):
    """Images and maps of one split; category ids are those of the label list, image ids the names without ``.jpg``.

    Args:
        root: the folder that holds ``images`` and the labels.
        split: ``"train"`` or ``"train2017"``, ``"val"`` or ``"val2017"``.
        skip_missing: leaves out images of which a file is missing, with a warning.

    Raises:
        UserError: a missing split or file.
    """

    def __init__(self, root: str | Path, split: str = "train", skip_missing: bool = False) -> None:
        root, split = Path(root), SPLITS.get(split, split)
        places = (root / "images" / split, root / split)
        images = FileSet(next((place for place in places if place.is_dir()), places[0]), ".jpg")
        form, keys = next(((own, keys) for own in FORMS if (keys := own.keys(root, split))), (FORMS[0], set()))
        labels = form.labels(root, split)
        check_split(root, images.folder, [labels.folder], split)
        found = listed_keys(images, labels, keys | images.keys(), images.folder, skip_missing)
        super().__init__(TAXONOMY, found, images, labels, form.values, partial(read_label, kinds=INDEXED_8))
