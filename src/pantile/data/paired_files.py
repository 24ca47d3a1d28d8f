"""PairedFiles: a data set with one image file and one label file per key; finds the pairs and tells what is missing."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import read_image
from pantile.data.reading import AS_STORED

LONG_NAMES = {"train": "training", "val": "validation", "test": "testing"}


@dataclass(frozen=True)
class FileSet:
    """Files ``folder/<key><suffix>``.

    Attributes:
        folder: where they lie.
        suffix: what follows the key in the file's name, such as ``"_leftImg8bit.png"``.
        depth: folders between ``folder`` and the file; their names are part of the key.
    """

    folder: Path
    suffix: str
    depth: int = 0

    def path(self, key: str) -> Path:
        return self.folder / f"{key}{self.suffix}"

    def keys(self) -> set[str]:
        """Keys of the files that exist."""
        files = self.folder.glob("*/" * self.depth + "[!.]*" + self.suffix)
        return {file.relative_to(self.folder).as_posix().removesuffix(self.suffix) for file in files}


def paired_keys(images: FileSet, labels: FileSet) -> list[str]:
    """Keys of the images, sorted.

    Raises:
        UserError: no image at all, an image without label, or a label without image (a score on a part of the
            images would not be noticed).
    """
    image_keys = images.keys()
    if not image_keys:
        raise UserError(f"{images.folder} has no image {'*/' * images.depth}*{images.suffix}: unpack the images there.")
    check_present(labels, image_keys, f"labels of the images in {images.folder}")
    check_present(images, labels.keys(), f"images of the labels in {labels.folder}")
    return sorted(image_keys)


def check_present(files: FileSet, needed: set[str], what: str) -> None:
    """Missing files are told at opening: one listing of the folder, not one question per file.

    Raises:
        UserError: names the first file that is missing, and how many.
    """
    missing = sorted(needed - files.keys())
    if missing:
        raise UserError(
            f"{files.path(missing[0])} does not exist ({len(missing)} of the {len(needed)} {what} are missing): "
            "restore the files from the data set's archive."
        )


def check_split(root: Path, folder: Path, labels: Sequence[Path], split: str) -> None:
    """Checks that a split has images and may have labels.

    Args:
        root: the data set.
        folder: where the split's images belong.
        labels: places where its labels may lie; one must exist.
        split: its name, for messages.

    Raises:
        UserError: there is no such split, or it has no labels.
    """
    if not folder.is_dir():
        raise UserError(f"{root} has no split {split!r} ({folder} is not a folder): choose train or val.")
    if not any(path.exists() for path in labels):
        raise no_labels(root, split, f"there is no {' and no '.join(map(str, labels))}")


def no_labels(root: Path, split: str, reason: str) -> UserError:
    return UserError(
        f"{root}: the split {split!r} has no labels ({reason}), so nothing can be trained or evaluated on it: "
        "choose train or val."
    )


class PairedFiles(ABC):
    """A ``PanopticDataset`` over files; a format says in ``load_map`` how its labels are read.

    Args:
        taxonomy: the classes.
        keys: one per image, in order; the last part of a key is the image's id.
        images: the image files of the keys.

    Attributes:
        channels, reading: how images are read; ``bands.read_as`` changes them.
    """

    def __init__(self, taxonomy: Taxonomy, keys: list[str], images: FileSet) -> None:
        self.taxonomy = taxonomy
        self._keys = keys
        self._images = images
        self.channels, self.reading = 3, AS_STORED

    @abstractmethod
    def load_map(self, index: int) -> PanopticMap:
        """The map alone, without decoding the image."""

    def __len__(self) -> int:
        return len(self._keys)

    def name_of(self, index: int) -> str:
        return self.image_path(index).name

    def image_path(self, index: int) -> Path:
        """The image's own file."""
        return self._images.path(self._keys[index])

    def image_id(self, index: int) -> str:
        return PurePosixPath(self._keys[index]).name

    def segment_counts(self) -> list[int]:
        return []

    def load_image(self, index: int) -> np.ndarray:
        """(H, W, channels) uint8, see ``read_image``.

        Raises:
            UserError: the file is broken, or holds another depth or other bands than ``reading`` knows.
        """
        return read_image(self.image_path(index), self.channels, self.reading)

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        """
        Raises:
            UserError: a file is missing, broken or of the wrong depth, or image and label differ in size.
        """
        image, panoptic = self.load_image(index), self.load_map(index)
        if image.shape[:2] != panoptic.size:
            raise UserError(
                f"{self.image_path(index)} is {image.shape[1]}x{image.shape[0]} pixels but its label is "
                f"{panoptic.size[1]}x{panoptic.size[0]}: make both the same size."
            )
        return image, panoptic
