"""Where images and their labels lie, and what an image's id is called."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantile.contracts.errors import UserError
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.data.missing import left_out, listed, names_in
from pantile.labels.reading.looking import files_of, is_rgb_png
from pantile.labels.source import LeftOut


def check_size(path: Path, size: tuple[int, int], claimed: tuple[int, int], where: str) -> None:
    """
    Raises:
        UserError: the label was made for an image of another size.
    """
    if size != claimed:
        raise UserError(
            f"{path} is {size[1]}x{size[0]} pixels but {where} is for {claimed[1]}x{claimed[0]}: make both the same "
            "size."
        )


def images_by_stem(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, nested: bool = True) -> dict[str, Path]:
    """Files of a folder, and of folders in it, by path below it without ending, sorted; hidden ones left out.

    Args:
        nested: False leaves folders in it alone.

    Raises:
        UserError: two files of one stem, which would share one label.
    """
    found: dict[str, Path] = {}
    for path in files_in(folder, suffixes, nested):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise UserError(f"{path} and {found[stem].name} would share one label: rename one of them.")
        found[stem] = path
    return found


def files_in(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, nested: bool = True) -> list[Path]:
    """Files with one of the endings, in a folder and the folders in it; hidden ones left out. The top comes first."""
    found: list[Path] = []
    seen: set[str] = set()  # links may lead in circles
    for top, folders, _ in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if nested and not name.startswith("."))
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        names = sorted(name for name in names_in(Path(top)) if not name.startswith("."))
        own = [Path(top, name) for name in names if name.lower().endswith(tuple(suffixes))]
        found += [path for path in own if not path.is_dir()]
    return found


def unlabelled(folders: Iterable[Path], labelled: Collection[Path], why: str) -> tuple[LeftOut, ...]:
    """What is said of images beside those that have labels.

    Args:
        folders: where images lie; folders in them count.
        labelled: the images that are given.
        why: the others are not, such as ``"have no JSON"``.
    """
    beside = {path for folder in set(folders) for path in files_in(folder)}
    count = len(beside - set(labelled))
    if not count:
        return ()
    return (LeftOut("images", count, f"{count:,} images beside the labelled ones {why} and were left out."),)


def image_ids(stems: Sequence[str]) -> list[int]:
    """The numbers in the names where every name is a different number, as in COCO; else 1, 2, ..."""
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 16 for stem in stems):
        ids = [int(stem) for stem in stems]
        if len(set(ids)) == len(ids):
            return ids
    return list(range(1, len(stems) + 1))


@dataclass(frozen=True)
class Pairs:
    """Label PNGs of a split with their images.

    Attributes:
        split: its name.
        stems: of both files, sorted.
        labels, images: one path per stem.
        unlabelled: number of images without label.
        remarks: what was left out, for the report.

    A stem of a file in a folder of the split's has the folder before it: ``"city/a"``.
    """

    split: str
    stems: tuple[str, ...]
    labels: tuple[Path, ...]
    images: tuple[Path, ...]
    unlabelled: int
    remarks: tuple[LeftOut, ...] = ()

    @property
    def notes(self) -> tuple[LeftOut, ...]:
        if not self.unlabelled:
            return self.remarks
        text = f"{self.unlabelled} images beside those of split {self.split!r} have no label and were left out."
        return (*self.remarks, LeftOut("images", self.unlabelled, text))


def find_pairs(
    src: Path, bases: Sequence[str], splits: Sequence[str], images: Path | None, skip_missing: bool = False
) -> list[Pairs]:
    """Splits of a folder of label PNGs: ``<base>/<split>/*.png``, ``<base>_<split>/*.png`` or ``<base>/*.png``.

    Images are looked for in ``images/<split>``, ``<split>``, ``images`` and the source itself.

    Args:
        src: the folder.
        bases: names of the folder of labels, the first that exists is taken.
        splits: which; empty for all. Labels without split folders go by the only name given, or ``train``.
        images: another folder of images.
        skip_missing: labels without image are left out.

    Raises:
        UserError: no labels, no such split, or a label without image.
    """
    folders = label_folders(src, bases, splits)
    found = []
    for split, folder in folders.items():
        labels = images_by_stem(folder, (".png",))
        own, shared = [src / "images" / split, src / split], [src / "images", src]
        if images:
            own, shared = [images / split], [images]
        places = [*own, *shared]
        there = next((found for found in _images_at(places) if found.keys() & labels.keys()), {})
        there = _of_split(there, labels, own)
        missing = sorted(labels.keys() - there.keys())
        if missing and (not skip_missing or len(missing) == len(labels)):
            raise UserError(
                f"{listed([labels[stem] for stem in missing])} has no image of that name in "
                f"{' or '.join(map(str, places))} ({len(missing)} of {len(labels)} labels): put it there, name the "
                "folder with --images, or leave such labels out with --skip-missing."
            )
        text = left_out([labels[k] for k in missing], len(labels), "images of labels") if missing else ""
        remarks = (LeftOut("images", len(missing), text),) if missing else ()
        stems = tuple(stem for stem in labels if stem in there)
        pngs, photos = tuple(labels[stem] for stem in stems), tuple(there[stem] for stem in stems)
        found.append(Pairs(split, stems, pngs, photos, len(there) - len(stems), remarks))
    return found


def _images_at(places: Sequence[Path]) -> Iterator[dict[str, Path]]:
    """By stem, in each place; in the last, which other splits may share, first without the folders in it."""
    for place in places:
        if place == places[-1]:
            yield images_by_stem(place, nested=False)
        yield images_by_stem(place)


def _of_split(there: dict[str, Path], labels: Collection[str], own: Sequence[Path]) -> dict[str, Path]:
    """The images of a place that belong to the split: all of its own folder, of a shared one those beside labelled."""
    folders = {there[stem].parent for stem in labels if stem in there}
    if any(place in (folder, *folder.parents) for place in own for folder in folders):
        return there
    return {stem: path for stem, path in there.items() if path.parent in folders}


def label_folders(src: Path, bases: Sequence[str], splits: Sequence[str]) -> dict[str, Path]:
    """Split to folder of label PNGs, see ``find_pairs``."""
    folders: dict[str, Path] = {}
    for base in bases:
        top = src / base
        suffixed = [(path.name.removeprefix(f"{top.name}_"), path) for path in top.parent.glob(f"{top.name}_*")]
        for split, path in [*suffixed, *((path.name, path) for path in top.glob("*"))]:
            if path.is_dir() and files_in(path, (".png",)):
                folders.setdefault(split, path)
        if not folders and any(top.glob("*.png")):
            if len(splits) > 1:
                raise UserError(f"{top} has no folder per split: give one name with --split.")
            return {splits[0] if splits else "train": top}
        if folders:
            break
    if not folders:
        raise UserError(f"{src} has no label PNGs in {' or '.join(bases)}: put them there, in one folder per split.")
    return choose_splits(dict(sorted(folders.items())), splits, src)


def has_pngs(src: Path, base: str, of_colours: bool = True) -> bool:
    """Whether labels lie where ``label_folders`` looks for them; without ``of_colours``, RGB does not count."""
    top = src / base
    places = [top, *top.parent.glob(f"{top.name}_*")] if top.parent.is_dir() else []
    first = [path for place in places for path in files_of(place, ".png", 1)]
    return any(of_colours or not is_rgb_png(path) for path in first)


def choose_splits(found: dict[str, Any], wanted: Sequence[str], src: Path) -> dict[str, Any]:
    """The splits that were asked for; all of them for an empty ``wanted``.

    Raises:
        UserError: there is no such split.
    """
    for split in wanted:
        if split not in found:
            raise UserError(f"{src} has no split {split!r}: choose from {', '.join(found)} with --split.")
    return {split: found[split] for split in wanted or found}
