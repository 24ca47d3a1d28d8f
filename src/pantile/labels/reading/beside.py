"""Files beside those that a source gives: photos without labels, and labels that are of nothing. Told, not taken."""

from collections.abc import Collection, Iterable
from pathlib import Path

from pantile.data.files_below import files_in
from pantile.labels.source import LeftOut

CONTAINER = "images"  # a folder called so holds nothing else, so folders in it are looked into


def unlabelled(
    folders: Iterable[Path], labelled: Collection[Path], why: str, top: Path | None = None
) -> tuple[LeftOut, ...]:
    """What is said of images beside those that have labels.

    Args:
        folders: where images lie; folders in them count.
        labelled: the images that are given, or told of otherwise.
        why: the others are not, such as ``"have no JSON"``.
        top: also look beside the folders, from each up to this one: photos beside the folders of splits, and folders
            of ``images`` that are no split.
    """
    folders = {folder.absolute() for folder in folders}
    beside = {path for folder in folders for path in files_in(folder)}
    above = {parent for folder in folders for parent in _above(folder, top)} if top is not None else set()
    for parent in above:
        beside.update(files_in(parent, nested=parent.name == CONTAINER))
    return told_of(beside - {path.absolute() for path in labelled}, why)


def told_of(images: Collection[Path], why: str) -> tuple[LeftOut, ...]:
    """The note on images beside the labelled ones; none where there are none."""
    if not images:
        return ()
    text = f"{len(images):,} images beside the labelled ones {why} and were left out, first {min(images)}."
    return (LeftOut("images", len(images), text),)


def top_of(src: Path, images: Path | None) -> Path | None:
    """Up to where ``unlabelled`` looks: the folder of images that was given, or the source; none above a file."""
    return images or (src if src.is_dir() else None)


def _above(folder: Path, top: Path) -> list[Path]:
    return [parent for parent in folder.parents if parent.is_relative_to(top.absolute())]


def unused_labels(
    folders: Iterable[Path], used: Collection[Path], why: str, top: Path | None = None
) -> tuple[LeftOut, ...]:
    """What is said of label PNGs that are not read.

    Args:
        folders: of the labels of each split; folders in them count.
        used: the PNGs that are read, or told of otherwise.
        why: the others are not, such as ``"are of no image"``.
        top: the folder that holds those of the splits, where PNGs of no split may lie.
    """
    folders = {folder.absolute() for folder in folders}
    found = {path for folder in folders for path in files_in(folder, (".png",))}
    if top is not None:
        found.update(files_in(top.absolute(), (".png",), nested=False))
    alone = found - {path.absolute() for path in used}
    if not alone:
        return ()
    return (LeftOut("files", len(alone), f"{len(alone):,} label PNGs {why} and were left out, first {min(alone)}."),)
