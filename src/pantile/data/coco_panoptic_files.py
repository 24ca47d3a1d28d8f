"""Where the files of a COCO-panoptic split lie: in the official layout, or as panopticapi publishes and writes them.

::

    root/annotations/panoptic_<split>.json      official
    root/panoptic_<split>.json                  panopticapi's sample, and what its converters write
    X.json                                      any such file as root; its PNGs lie in the folder X beside it
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pantile.contracts.errors import NoSplit, UserError
from pantile.contracts.json_marks import json_has

PREFIX = "panoptic_"


@dataclass(frozen=True)
class PanopticFiles:
    """
    Attributes:
        split: its name on disk.
        json_path: the JSON.
        png_places, image_places: folders where its PNGs and images may lie, the usual one first.
    """

    split: str
    json_path: Path
    png_places: tuple[Path, ...]
    image_places: tuple[Path, ...]

    @property
    def png_folder(self) -> Path:
        """The first that exists, else the usual one."""
        return next((place for place in self.png_places if place.is_dir()), self.png_places[0])

    def image_folder(self, names: Callable[[], Iterable[str]]) -> Path:
        """The first that holds one of the images; else the first of the split's name, as it should be there.

        Args:
            names: of the images.
        """
        named = [place for place in self.image_places if place.name == self.split and place.is_dir()]
        there = [place for place in self.image_places if place.is_dir()]
        if len(there) > 1 or not named:
            named = [place for place in there if _holds_any(place, names())] or named
        return named[0] if named else self.image_places[0]


def is_coco_panoptic(root: Path) -> bool:
    """A folder in one of the layouts, or a JSON with its folder of PNGs beside."""
    if root.is_file():
        return _has_pngs(root) and all(json_has(root, "segments_info", "categories"))
    return any((root / "annotations").glob(f"{PREFIX}*.json")) or any(map(_has_pngs, root.glob(f"{PREFIX}*.json")))


def available_splits(root: str | Path) -> list[str]:
    """Names of the splits at a path, sorted: JSONs that have a folder of PNGs."""
    return sorted(split for split, path in jsons_at(Path(root)).items() if _files(Path(root), split, path))


def jsons_at(root: Path) -> dict[str, Path]:
    """Split to JSON, of those in ``annotations`` also such as have no PNGs."""
    if root.is_file():
        return {root.stem.removeprefix(PREFIX): root}
    beside = [path for path in sorted(root.glob(f"{PREFIX}*.json")) if _has_pngs(path)]
    paths = [*beside, *sorted((root / "annotations").glob(f"{PREFIX}*.json"))]  # the official place wins
    return {path.stem.removeprefix(PREFIX): path for path in paths}


def files_of_split(root: Path, split: str, images: Path | None = None) -> PanopticFiles:
    """
    Args:
        root: a folder or a JSON.
        split: a name that ``find_split`` gives.
        images: another folder of images.
    """
    path = jsons_at(root)[split]
    top = described_root(path)
    pngs = (path.with_suffix(""), top / path.stem)
    places = (top / split, top / "images" / split, top / "input_images", top / "images")
    if images or root.is_file():
        places = (images,) if images else (*places, path.parent)
    return PanopticFiles(split, path, tuple(dict.fromkeys(pngs)), places)


def find_split(root: str | Path, split: str) -> str:
    """The split's name on disk: ``val`` may be ``val2017``.

    Raises:
        UserError: no such path or split, or several that fit.
    """
    root = Path(root)
    if not root.exists():
        raise UserError(f"The data folder {root} does not exist: name a folder in COCO-panoptic layout, or 'scenes'.")
    if split in jsons_at(root):
        return split
    splits = available_splits(root)
    if not splits:
        raise UserError(
            f"{root} holds no annotations/panoptic_<split>.json with a folder panoptic_<split> of PNGs: "
            "convert your labels to COCO-panoptic layout first."
        )
    fitting = [name for name in splits if name.rstrip("0123456789") == split]
    if len(fitting) == 1:
        return fitting[0]
    problem = f"has several splits for {split!r}" if fitting else f"has no split {split!r}"
    raise NoSplit(f"{root} {problem}", f"one of {', '.join(fitting or splits)}")


def described_root(root: Path) -> Path:
    """The folder whose ``dataset.yaml`` tells of the images."""
    if not root.is_file():
        return root
    return root.parent.parent if root.parent.name == "annotations" else root.parent


def _files(root: Path, split: str, path: Path) -> bool:
    return path.is_file() and files_of_split(root, split).png_folder.is_dir()


def _has_pngs(path: Path) -> bool:
    return path.with_suffix("").is_dir()


def _holds_any(folder: Path, names: Iterable[str]) -> bool:
    return any(os.path.exists(folder / name) for name in names)  # noqa: PTH110 - Path.exists raises for long names
