"""PanopticDataset: what every room asks of a data set, and ``open_dataset``, which opens one by folder or by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.layouts import LAYOUTS, by_precedence, layout_of
from pantile.data.samples import Sample
from pantile.data.scene_source import is_scenes, open_scenes


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


def open_dataset(
    source: str | Path, split: str = "train", skip_missing: bool = False, option: str | None = None
) -> PanopticDataset:
    """Opens a data set whose layout it finds out, or the generated scenes.

    Args:
        source: a folder in one of ``layouts.LAYOUTS`` (for Mapillary Vistas with both versions: the config to use), or
            ``"scenes"``, ``"scenes:N"`` for N generated images or ``"scenes:classes=K"``, ``"video-scenes:N"`` for N
            generated videos, see ``scene_source`` (write ``./scenes`` for a folder of that name).
        split: a split of the folder (``"val"`` also finds ``val2017`` and ``validation``); generated scenes of
            different splits share no image.
        skip_missing: images of which a file is missing are left out, with a warning that says how many.
        option: of the command line, by which the split was chosen, for messages.

    Raises:
        UserError: the folder or the split does not exist, the split has no labels, or no layout fits.
    """
    text = str(source)
    if is_scenes(text):
        return open_scenes(text, split)
    path = Path(source)
    if not path.exists():
        raise UserError(f"The data folder {path} does not exist: name the folder of a labelled data set, or 'scenes'.")
    name = layout_of(path)
    if name is None:
        looked_for = ", no ".join(f"{layout.marks} ({layout.title})" for layout in by_precedence().values())
        raise UserError(f"{path} holds no {looked_for}: convert your labels to COCO-panoptic layout first.")
    try:
        return LAYOUTS[name].open(path, split, skip_missing)
    except NoSplit as error:
        raise NoSplit(error.problem, error.choices, option) from None
