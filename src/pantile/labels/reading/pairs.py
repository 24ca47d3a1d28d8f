"""Label PNGs and their images, in folders of splits."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.data.files_below import files_in, images_by_stem
from pantile.data.missing import left_out, listed
from pantile.labels.reading.beside import unlabelled, unused_labels
from pantile.labels.reading.image_folders import choose_splits
from pantile.labels.reading.looking import files_of, is_rgb_png
from pantile.labels.reading.missing import present
from pantile.labels.source import LeftOut


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
    unlabelled: int = 0
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
    folders = label_folders(src, bases, splits, has_images=images is not None)
    found, beside = [], []
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
        found.append(Pairs(split, stems, pngs, photos, remarks=remarks))
        beside.append(set(there.values()))
    return _with_unlabelled(found, beside, () if splits else folders.values(), src, images)


def _with_unlabelled(
    found: list[Pairs], beside: list[set[Path]], folders: Collection[Path], src: Path, images: Path | None
) -> list[Pairs]:
    """What lies beside the pairs: photos of each split, which count once where splits share a folder, and the rest.

    Args:
        beside: all photos of the folder in which each split has its own.
        folders: of the labels; empty where only some splits were asked for, so that there is no rest.
    """
    known = {path for own in found for path in own.images}
    for k, own in enumerate(found):
        bare = beside[k] - known
        known |= bare
        found[k] = replace(own, unlabelled=len(bare))
    if not folders:
        return found
    rest = list(unlabelled({path.parent for path in known}, known, "are of no split", images or src))
    labels = [path for folder in folders for path in files_in(folder, (".png",))]
    for top in _shared(folders, src):
        rest += unused_labels((), labels, "lie beside the folders of splits", top)
    found[-1] = replace(found[-1], remarks=(*found[-1].remarks, *rest))
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


def label_folders(src: Path, bases: Sequence[str], splits: Sequence[str], has_images: bool = False) -> dict[str, Path]:
    """Split to folder of label PNGs, see ``find_pairs``.

    Args:
        has_images: the images lie elsewhere, so that PNGs in the source itself are labels.
    """
    folders: dict[str, Path] = {}
    for base in bases:
        top = src / base
        suffixed = [(path.name.removeprefix(f"{top.name}_"), path) for path in top.parent.glob(f"{top.name}_*")]
        for split, path in [*suffixed, *((path.name, path) for path in top.glob("*"))]:
            if path.is_dir() and files_in(path, (".png",)):
                folders.setdefault(split, path)
        if not folders and any(top.glob("*.png")):
            return {_only(splits, top): top}
        if folders:
            break
    if not folders and has_images and any(src.glob("*.png")):
        return {_only(splits, src): src}
    if not folders:
        raise UserError(f"{src} has no label PNGs in {' or '.join(bases)}: put them there, in one folder per split.")
    return choose_splits(dict(sorted(folders.items())), splits, src)


def with_instances(
    pairs: list[Pairs], src: Path, bases: Sequence[str], skip_missing: bool, whole: bool
) -> tuple[list[Pairs], dict[str, Path]]:
    """The pairs that have an instance PNG, and the folder of these of each split; PNGs that are of no pair are told.

    Args:
        bases: as for labels.
        whole: all splits were asked for.
    """
    folders = label_folders(src, bases, [own.split for own in pairs])
    found, used = [], []
    for own in pairs:
        paths = [instance_path(folders[own.split], own, k) for k in range(len(own.stems))]
        kept, remarks = present(paths, f"instance PNGs in {folders[own.split]}", skip_missing)
        stems, labels, images = (tuple(part[k] for k in kept) for part in (own.stems, own.labels, own.images))
        found.append(replace(own, stems=stems, labels=labels, images=images, remarks=(*own.remarks, *remarks)))
        used += paths
    if whole:
        why = "of instances belong to no image with a label"
        alone = unused_labels([*folders.values(), *_shared(folders.values(), src)], used, why)
        found[-1] = replace(found[-1], remarks=(*found[-1].remarks, *alone))
    return found, folders


def _shared(folders: Iterable[Path], src: Path) -> set[Path]:
    """The folders that hold those of splits."""
    return {folder.parent for folder in folders if src not in (folder, folder.parent)}


def instance_path(folder: Path, pairs: Pairs, index: int) -> Path:
    """The PNG of instances beside a label."""
    return folder / f"{pairs.stems[index]}{pairs.labels[index].suffix}"


def _only(splits: Sequence[str], folder: Path) -> str:
    if len(splits) > 1:
        raise UserError(f"{folder} has no folder per split: give one name with --split.")
    return splits[0] if splits else "train"


def has_pngs(src: Path, base: str, of_colours: bool = True) -> bool:
    """Whether labels lie where ``label_folders`` looks for them; without ``of_colours``, RGB does not count."""
    top = src / base
    places = [top, *top.parent.glob(f"{top.name}_*")] if top.parent.is_dir() else []
    first = [path for place in places for path in files_of(place, ".png", 1)]
    return any(of_colours or not is_rgb_png(path) for path in first)
