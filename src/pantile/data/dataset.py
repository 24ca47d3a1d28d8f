"""PanopticDataset: what every room asks of a data set, and ``open_dataset``, which finds one by folder or by name."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy


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
        """(H, W, 3) uint8 RGB."""
        ...

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        """(H, W, 3) uint8 RGB and the map of the same size, whose ids and table agree."""
        ...


def open_dataset(source: str | Path, split: str = "train") -> PanopticDataset:
    """Opens a folder in COCO-panoptic layout, or the generated scenes.

    Args:
        source: a folder, or ``"scenes"`` or ``"scenes:N"`` for N generated images
            (write ``./scenes`` for a folder of that name).
        split: a split of the folder (``"val"`` also finds ``val2017``); generated scenes of different splits
            share no image.

    Raises:
        UserError: the folder or the split does not exist, or the folder has no known layout.
    """
    from pantile.data.coco_panoptic import CocoPanoptic
    from pantile.data.scenes import Scenes

    text = str(source)
    if text == "scenes" or text.startswith("scenes:"):
        count = text.partition(":")[2] or "1000"
        if not count.isdigit():
            raise UserError(f"{text!r} does not name a data set: write scenes:N with a whole number N of images.")
        return Scenes(int(count), split=split)
    return CocoPanoptic(source, split)
