"""SemanticFiles: a data set of images and labels that are a class per pixel; a format says where they lie."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.class_values import ClassValues
from pantile.data.image_files import stored_size
from pantile.data.paired_files import FileSet, PairedFiles, check_present


class SemanticFiles(PairedFiles):
    """All regions of a class in an image are one segment, with the id 1 + class index; nothing is crowd.

    Args:
        taxonomy: the classes.
        keys: one per image, see ``PairedFiles``.
        images, labels: the files of the keys.
        values: what the numbers in the labels mean.
        read: path of a label to its stored numbers, (H, W) uint8 or uint16; raises UserError.
        size: path of a label to its (height, width), without decoding it where that can be.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        keys: list[str],
        images: FileSet,
        labels: FileSet,
        values: ClassValues,
        read: Callable[[Path], np.ndarray],
        size: Callable[[Path], tuple[int, int]] = stored_size,
    ) -> None:
        super().__init__(taxonomy, keys, images)
        self._labels = labels
        self._values = values
        self._read = read
        self._size = size

    def label_path(self, index: int) -> Path:
        return self._labels.path(self._keys[index])

    def label_size(self, index: int) -> tuple[int, int]:
        return self._size(self.label_path(index))

    def load_map(self, index: int) -> PanopticMap:
        path = self.label_path(index)
        return self._values.to_map(self._read(path), path)


def listed_keys(
    images: FileSet, labels: FileSet, keys: Iterable[str], source: Path, skip_missing: bool = False
) -> list[str]:
    """Keys that a list of a split names; each needs an image and a label, other files do not matter.

    Args:
        images, labels: one file per key.
        keys: in any order.
        source: of the keys, for messages.
        skip_missing: leaves out keys that lack a file, with a warning.

    Raises:
        UserError: no key, or a missing file.
    """
    wanted = set(keys)
    if not wanted:
        raise UserError(f"{source} names no image: restore it.")
    kept = check_present(images, wanted, f"images that {source} names", skip_missing)
    kept &= check_present(labels, wanted, f"labels of the images that {source} names", skip_missing)
    if not kept:
        raise UserError(f"{source} names no image that has a label: restore them.")
    return sorted(kept)


def read_key_list(path: Path) -> list[str]:
    """One key a line; empty lines do not count.

    Raises:
        UserError: the file cannot be read as text, or a line is no plain name.
    """
    try:
        lines = regular_file(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text ({error}): restore the file.") from None
    keys = [line.strip() for line in lines if line.strip()]
    for number, key in enumerate(keys, start=1):
        if "/" in key or "\\" in key or key.startswith("."):
            raise UserError(f"{path} names {key!r} in line {number}: write names of images without folder or ending.")
    return keys
