"""PairedFiles: a data set with one image file and one label file per key; finds the pairs and tells what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.files_below import files_in
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.missing import names_in, settle_missing

LONG_NAMES = {"train": "training", "val": "validation", "test": "testing"}


@dataclass(frozen=True)
class FileSet:
    """Files ``folder/<key><suffix>``.

    Attributes:
        folder: where they lie.
        suffix: what follows the key in the file's name, such as ``"_leftImg8bit.png"``.
        depth: folders between ``folder`` and the file; their names are part of the key. None for any number.
    """

    folder: Path
    suffix: str
    depth: int | None = 0

    def path(self, key: str) -> Path:
        return self.folder / f"{key}{self.suffix}"

    def keys(self) -> set[str]:
        """Keys of the files that exist."""
        if self.depth is None:
            paths = [path for path in files_in(self.folder, (self.suffix,)) if path.name.endswith(self.suffix)]
            return {path.relative_to(self.folder).as_posix().removesuffix(self.suffix) for path in paths}
        folders = [self.folder] if self.folder.is_dir() else []
        for _ in range(self.depth):
            folders = [below for folder in folders for below in folder.iterdir() if below.is_dir()]
        return {
            (folder / name).relative_to(self.folder).as_posix().removesuffix(self.suffix)
            for folder in folders
            for name in names_in(folder)
            if name.endswith(self.suffix) and not name.startswith(".")
        }


def paired_keys(images: FileSet, *labels: FileSet, skip_missing: bool = False) -> list[str]:
    """Keys of the images, sorted.

    Args:
        images: one file per key.
        labels: each has one file per key.
        skip_missing: leaves out keys that lack a file, with a warning.

    Raises:
        UserError: no image at all, an image without label, or a label without image (a score on a part of the
            images would not be noticed).
    """
    image_keys = images.keys()
    if not image_keys:
        raise UserError(
            f"{images.folder} has no image {'*/' * (images.depth or 0)}*{images.suffix}: unpack the images there."
        )
    kept = set(image_keys)
    for own in labels:
        kept &= check_present(own, image_keys, f"labels of the images in {images.folder}", skip_missing)
        check_present(images, own.keys(), f"images of the labels in {own.folder}", skip_missing)
    if not kept:
        raise UserError(f"{images.folder} has no image that has all its labels: restore them.")
    return sorted(kept)


def check_present(files: FileSet, needed: set[str], what: str, skip_missing: bool = False) -> set[str]:
    """Missing files are told at opening: one listing of the folder, not one question per file.

    Returns:
        Keys of ``needed`` that exist.

    Raises:
        UserError: names files that are missing, and how many, unless they may be skipped.
    """
    missing = sorted(needed - files.keys())
    settle_missing([files.path(key) for key in missing], len(needed), what, skip_missing)
    return needed - set(missing)


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
        raise NoSplit(f"{root} has no split {split!r} ({folder} is not a folder)", "train or val")
    if not any(path.exists() for path in labels):
        raise no_labels(root, split, f"there is no {' and no '.join(map(str, labels))}")


def no_labels(root: Path, split: str, reason: str) -> NoSplit:
    problem = f"{root}: the split {split!r} has no labels ({reason}), so nothing can be trained or evaluated on it"
    return NoSplit(problem, "train or val")


class PairedFiles(LabelledPhotos):
    """A ``PanopticDataset`` over files; a format says in ``label_path`` and ``load_map`` how its labels are read.

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
