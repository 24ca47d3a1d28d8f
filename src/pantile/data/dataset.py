"""PanopticDataset: what every room asks of a data set, and ``open_dataset``, which opens one by folder or by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.ade20k import is_ade20k, open_ade20k
from pantile.data.ade20k_full import Ade20kFull, is_ade20k_full
from pantile.data.cityscapes import Cityscapes, is_cityscapes
from pantile.data.coco_lvis import CocoLvis, is_coco_lvis
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.coco_stuff_10k import is_coco_stuff_10k, open_coco_stuff_10k
from pantile.data.coco_stuff_164k import CocoStuff164k, is_coco_stuff_164k
from pantile.data.described_images import DESCRIPTION
from pantile.data.description import DescribedFolder, is_described
from pantile.data.mapillary import is_mapillary, open_mapillary
from pantile.data.pascal_context import PascalContext, is_pascal_context
from pantile.data.samples import Sample
from pantile.data.scenes import Scenes


@runtime_checkable
class PanopticDataset(Protocol):
    """Labelled images by index. A new format is one class with these members.

    Attributes:
        taxonomy: the classes; the only source of class counts and ids.
    """

    taxonomy: Taxonomy

    def __len__(self) -> int: ...

    def name_of(self, index: int) -> str:
        """The image's file name (or a made-up one), for messages and for files written about it."""
        ...

    def image_id(self, index: int) -> int | str:
        """The identifier that COCO-panoptic JSON calls ``image_id``."""
        ...

    def segment_counts(self) -> list[int]:
        """Segments of each image, crowd left out, without loading images; empty where that is not known."""
        ...

    def load_image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, or (H, W, C) of the channels that ``dataset.yaml`` names."""
        ...

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        """The image, as ``load_image`` gives it, and the map of the same size, whose ids and table agree."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """``load(index)`` with names; as in ``Samples``, the base class that has this and ``__iter__``."""
        ...

    def __iter__(self) -> Iterator[Sample]: ...


@dataclass(frozen=True)
class Layout:
    """A data set's folders, as ``open_dataset`` recognises them.

    Attributes:
        name: of the data set or format.
        marks: what gives it away, for messages.
        fits: whether a path has these marks.
        open: path, split and whether images of which a file is missing are left out to the data set; raises UserError
            for whatever is wrong inside.
    """

    name: str
    marks: str
    fits: Callable[[Path], bool]
    open: Callable[[Path, str, bool], PanopticDataset]


def is_coco_panoptic(root: Path) -> bool:
    return any((root / "annotations").glob("panoptic_*.json"))


def _open_coco(root: Path, split: str, skip_missing: bool) -> CocoPanoptic:
    return CocoPanoptic(root, split, skip_missing=skip_missing)


LAYOUTS = (  # the first that fits is opened: a conversion to COCO-panoptic comes before what it was made from
    Layout("COCO-panoptic", "annotations/panoptic_<split>.json", is_coco_panoptic, _open_coco),
    Layout("described folder", DESCRIPTION, is_described, DescribedFolder),
    Layout("Cityscapes", "leftImg8bit with gtFine", is_cityscapes, Cityscapes),
    Layout("ADE20K", "images/training with annotations/training or ade20k_panoptic_train.json", is_ade20k, open_ade20k),
    Layout(
        "ADE20K-Full",
        "images_detectron2 with annotations_detectron2, or train/image with train/label",
        is_ade20k_full,
        Ade20kFull,
    ),
    Layout(
        "PASCAL-Context",
        "SegmentationClassContext with ImageSets/SegmentationContext",
        is_pascal_context,
        PascalContext,
    ),
    Layout("COCO-Stuff-164k", "PNGs in annotations/train2017 or stuffthingmaps", is_coco_stuff_164k, CocoStuff164k),
    Layout(
        "COCO-Stuff-10k",
        "imageLists with annotations, or annotations/train2014",
        is_coco_stuff_10k,
        open_coco_stuff_10k,
    ),
    Layout("COCO+LVIS", "lvis_mask/train2017", is_coco_lvis, CocoLvis),
    Layout("Mapillary Vistas", "config_v1.2.json or config_v2.0.json with training", is_mapillary, open_mapillary),
)


def open_dataset(
    source: str | Path, split: str = "train", skip_missing: bool = False, option: str | None = None
) -> PanopticDataset:
    """Opens a data set whose layout it finds out, or the generated scenes.

    Args:
        source: a folder in one of ``LAYOUTS`` (for Mapillary Vistas with both versions: the config to use), or
            ``"scenes"`` or ``"scenes:N"`` for N generated images (write ``./scenes`` for a folder of that name).
        split: a split of the folder (``"val"`` also finds ``val2017`` and ``validation``); generated scenes of
            different splits share no image.
        skip_missing: images of which a file is missing are left out, with a warning that says how many.
        option: of the command line, by which the split was chosen, for messages.

    Raises:
        UserError: the folder or the split does not exist, the split has no labels, or no layout fits.
    """
    text = str(source)
    if text == "scenes" or text.startswith("scenes:"):
        count = text.partition(":")[2] or "1000"
        if not count.isdigit():
            raise UserError(f"{text!r} does not name a data set: write scenes:N with a whole number N of images.")
        return Scenes(int(count), split=split)
    path = Path(source)
    if not path.exists():
        raise UserError(f"The data folder {path} does not exist: name the folder of a labelled data set, or 'scenes'.")
    for layout in LAYOUTS:
        if layout.fits(path):
            try:
                return layout.open(path, split, skip_missing)
            except NoSplit as error:
                raise NoSplit(error.problem, error.choices, option) from None
    looked_for = ", no ".join(f"{layout.marks} ({layout.name})" for layout in LAYOUTS)
    raise UserError(f"{path} holds no {looked_for}: convert your labels to COCO-panoptic layout first.")
