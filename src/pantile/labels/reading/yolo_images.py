"""The images of a split of YOLO's data.yaml: of folders, with the folders in them, or of a list of paths."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, path_inside, read_text
from pantile.data.files_below import files_in, images_by_stem


@dataclass(frozen=True)
class ListedImages:
    """
    Attributes:
        paths: the images; those of a list may not exist.
        names: of each, see ``SourceImage``.
        where: what names them, for messages.
    """

    paths: list[Path]
    names: list[str]
    where: str


def label_path(image: Path) -> Path:
    """The text file of an image: the last ``images`` of its path becomes ``labels``."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def find_images(top: Fields, split: str, path: Path) -> ListedImages:
    """
    Args:
        top: of data.yaml.
        split: a field of it.
        path: of data.yaml.

    Raises:
        UserError: the field names neither folders nor lists within the YAML's folder, or one image for two labels.
    """
    value = top.data[split]
    entries = value if isinstance(value, list) else [value]
    paths: list[Path] = []
    folders: list[Path] = []
    for name in entries:
        if not isinstance(name, str):
            raise top.wrong(split, "a folder of images, or a list of them")
        place = _place(name, top.text("path", default="."), path, f"{path}, {split}")
        if place.is_dir():
            folders.append(place)
            paths += images_by_stem(place).values()
        else:
            paths += _listed(place, path.parent)
    paths = list(dict.fromkeys(paths))
    root = folders[0] if len(entries) == len(folders) == 1 else path.parent.absolute()
    return ListedImages(paths, [_below(image, root) for image in paths], f"{split} of {path}")


def _place(name: str, start: str, path: Path, where: str) -> Path:
    """The folder or list. Some tools write ``../train/images`` for ``train/images``: then ``../`` is left out."""
    root = path.parent
    candidates = [os.path.join(start, name), name, name.removeprefix("../")]  # noqa: PTH118 - may be absolute
    inside = [own for own in (_inside(root, candidate, where) for candidate in candidates) if own]
    found = next((own for own in inside if own.is_dir() or (own.is_file() and own.suffix.lower() == ".txt")), None)
    if found is None:
        path_inside(root, name.removeprefix("../"), where)
        raise UserError(
            f"{where} names {name!r}, which is no folder and no list (.txt) inside {root}: correct it (or 'path')."
        )
    return found


def _listed(path: Path, root: Path) -> list[Path]:
    """The images of a list, which may not exist."""
    names = [line.strip().replace("\\", "/") for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise UserError(f"{path} names no image: list the path of one a line.")
    known = {own.absolute() for own in files_in(root)}
    return [_resolved(name, path, root.absolute(), known) for name in names]


def _resolved(name: str, path: Path, root: Path, known: set[Path]) -> Path:
    """As much of the end of a path as leads to an image below one of the folders that it may start from.

    Where no image is there, to the text file of one: so that these annotations are told as lost with it.
    """
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".", "..")]
    ends = [parts[first:] for first in range(len(parts))]
    places = [base.joinpath(*end) for end in ends for base in (path.parent.absolute(), root)]
    found = next((place for place in places if place in known), None)
    found = found or next((place for place in places if os.path.isfile(label_path(place))), None)  # noqa: PTH113 - long names
    return found or path_inside(root, "/".join(parts) or name, f"{path}")


def _inside(root: Path, name: str, where: str) -> Path | None:
    try:
        return path_inside(root, name, where)
    except UserError:
        return None  # another reading of the path may lie inside


def _below(image: Path, root: Path) -> str:
    return image.relative_to(root).as_posix()
