"""LabelledPhotos: what data sets of image files share. Photos are read in the frame in which their label maps lie."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.data.image_files import read_image, read_orientation, stored_size
from pantile.data.orientation import STORED, UPRIGHT, Choice, Orientation, choose_frame, mismatch
from pantile.data.reading import AS_STORED, Reading
from pantile.data.samples import Samples

MOST_COUNTED = 2000  # images whose heads are read for one warning
LOOKED_AT_AHEAD = 64
NAMED = 3


class LabelledPhotos(Samples, ABC):
    """Label maps never move; a photo whose orientation tag says that it was stored turned is fitted to its map.

    The map's own size says whether it was drawn on the upright picture or on the stored pixels. Where it fits both
    (squares, half turns, mirror images), ``orientation`` decides, and where that is silent, upright is taken and one
    warning says so.

    Attributes:
        orientation: ``"upright"``, ``"stored"`` or None, see above.
        pooled_crowd: a crowd region is what the format leaves without a number, so one may be many things; False where
            the format lists its crowd regions one by one.
        told_unsure: the warning was given, or is not wanted because somebody tells it in another way.
        channels, reading: how images are read; ``bands.read_as`` changes them.
    """

    orientation: str | None = None
    channels: int = 3
    reading: Reading = AS_STORED
    pooled_crowd = True
    told_unsure = False
    _how_to_say = "write it with `pantile data convert --orientation stored`"

    @abstractmethod
    def name_of(self, index: int) -> str: ...

    @abstractmethod
    def image_path(self, index: int) -> Path:
        """The image's own file."""

    @abstractmethod
    def label_path(self, index: int) -> Path:
        """A label file of the image, whose size is that of its map."""

    def label_size(self, index: int) -> tuple[int, int]:
        """(height, width) of the label, from its file's header."""
        return stored_size(self.label_path(index))

    @abstractmethod
    def load_map(self, index: int) -> PanopticMap:
        """The map alone, without decoding the image."""

    def load_image(self, index: int) -> np.ndarray:
        """(H, W, C) uint8, as ``load`` gives it.

        Raises:
            UserError: the file is broken, or has other channels.
        """
        return self._photo(index, lambda: self.label_size(index))[0]

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        """
        Raises:
            UserError: a file is missing, broken or of the wrong depth, or image and label differ in size.
        """
        panoptic = self.load_map(index)
        image, found = self._photo(index, lambda: panoptic.size)
        if image.shape[:2] != panoptic.size:
            raise mismatch(self.image_path(index), found, panoptic.size, "its label is")
        return image, panoptic

    def choose(self, found: Orientation, label_size: tuple[int, int]) -> Choice | None:
        """The frame of a label map of this size on a photo; None where it fits none. Warns where nothing tells.

        Args:
            found: of the photo.
            label_size: (height, width) of its label map.
        """
        choice = choose_frame(found, label_size, self.orientation)
        if choice is not None and not choice.is_sure:
            self._tell_unsure()
        return choice

    def _photo(self, index: int, label_size: Callable[[], tuple[int, int]]) -> tuple[np.ndarray, Orientation]:
        seen: list[Orientation] = []

        def frame(found: Orientation) -> str:
            seen.append(found)
            if not found.is_turned:
                return STORED
            choice = self.choose(found, label_size())
            return UPRIGHT if choice is None else choice.frame

        return read_image(self.image_path(index), self.channels, self.reading, frame), seen[0]

    def _tell_unsure(self) -> None:
        """Once per data set and process, at the first such image: most data sets have none, and pay nothing."""
        if self.told_unsure:
            return
        self.told_unsure = True
        looked_at = min(len(self), MOST_COUNTED)
        unsure = [self.name_of(k) for k in range(looked_at) if self._is_unsure(k)]
        more = ", ..." if len(unsure) > NAMED else ""
        warnings.warn(
            f"{len(unsure)} of {'the first ' if looked_at < len(self) else ''}{looked_at} photos are stored turned "
            f"(EXIF orientation), and the size of their labels fits both ways: {', '.join(unsure[:NAMED])}{more}. "
            f"They are read upright, as label tools show them. If the labels lie on the stored pixels, "
            f"{self._how_to_say}.",
            stacklevel=2,
        )

    def tell_ahead(self) -> None:
        """Looks at some photos, evenly from all: of several workers, each would give the warning."""
        count = min(len(self), LOOKED_AT_AHEAD)
        if any(self._is_unsure(k * len(self) // count) for k in range(count)):
            self._tell_unsure()

    def _is_unsure(self, index: int) -> bool:
        try:
            found, size = read_orientation(self.image_path(index)), self.label_size(index)
            choice = choose_frame(found, size, self.orientation)
        except UserError:  # told where that image is loaded
            return False
        return choice is not None and not choice.is_sure
