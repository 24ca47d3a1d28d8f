"""Several labelled folders as one: classes by name, splits by name, and no name or id of an image twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.same_classes import difference
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.data.bands import description_of
from pantile.data.described_images import DescribedImages, write_images_beside
from pantile.data.labelled_photos import LabelledPhotos
from pantile.labels.splitting.folders import open_splits
from pantile.labels.splitting.written import Placed, flat_names, write_placed
from pantile.labels.staging import staged


@dataclass(frozen=True)
class MergeOptions:
    """
    Attributes:
        union: classes that only some of the folders have are kept; else they are refused.
        skip_missing, link, progress: as for splitting.
    """

    union: bool = False
    skip_missing: bool = False
    link: bool = False
    progress: bool = False


@dataclass(frozen=True)
class Merged:
    """
    Attributes:
        taxonomy: of the whole.
        images: split to the images of each folder, in the order given.
        renamed: images whose name got the folder's before it, because another has it.
        renumbered: whether the ids of the images were counted anew, because two had one.
    """

    taxonomy: Taxonomy
    images: dict[str, list[int]]
    renamed: int
    renumbered: bool


def merge_folders(roots: Sequence[str | Path], out: str | Path, options: MergeOptions) -> Merged:
    """Writes a folder in COCO-panoptic layout; ``out`` appears complete or not at all.

    Raises:
        UserError: fewer than two folders, one twice, classes or readings of images that differ, or a broken label.
    """
    paths = [Path(root) for root in roots]
    if len(paths) < 2:
        raise UserError("One folder is no merge: name at least two.")
    twice = next((path for path, n in Counter(path.resolve() for path in paths).items() if n > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is named twice: name each folder once.")
    with staged(Path(out)) as folder:
        opened = [open_splits(path, (), options.skip_missing) for path in paths]
        taxonomy = _united(paths, opened, options.union)
        description = _one_description(paths, opened)
        splits = list(dict.fromkeys(split for own in opened for split in own))
        placed, renamed, renumbered = _placed(paths, opened, splits, taxonomy)
        write_placed(placed, splits, taxonomy, folder, options.link, options.progress)
        write_images_beside(folder, description)
    images = {split: [len(own[split]) if split in own else 0 for own in opened] for split in splits}
    return Merged(taxonomy, images, renamed, renumbered)


def _united(paths: Sequence[Path], opened: Sequence[dict[str, LabelledPhotos]], union: bool) -> Taxonomy:
    """The classes of the first folder, and after them those of the others; a new class has a free id."""
    classes: dict[str, ClassInfo] = {}
    first = next(iter(opened[0].values())).taxonomy
    for path, own in zip(paths, opened, strict=True):
        for split, dataset in own.items():
            told = difference(dataset.taxonomy, first, f"{path} ({split})", str(paths[0]))
            if told and not union:
                raise UserError(f"The folders have other classes ({told}): rename them, or keep all with --union.")
            for info in dataset.taxonomy.classes:
                known = classes.get(info.name)
                if known is None:
                    used = {c.id for c in classes.values()}
                    free = info.id if info.id not in used else max(used) + 1
                    classes[info.name] = replace(info, id=free)
                elif known.is_thing != info.is_thing:
                    kinds = ("stuff", "a thing")
                    raise UserError(
                        f"{info.name!r} is {kinds[info.is_thing]} in {path} and {kinds[known.is_thing]} before: rename "
                        "it or correct its flag."
                    )
    return Taxonomy(tuple(classes.values()))


def _one_description(paths: Sequence[Path], opened: Sequence[dict[str, LabelledPhotos]]) -> DescribedImages | None:
    """What says how the images are read, which must be one for all."""
    found = [description_of(next(iter(own.values()))) for own in opened]
    for path, own in zip(paths, found, strict=True):
        if own != found[0]:
            raise UserError(f"{path} and {paths[0]} say differently how their images are read (dataset.yaml): agree.")
    return found[0]


def _placed(
    paths: Sequence[Path], opened: Sequence[dict[str, LabelledPhotos]], splits: Sequence[str], taxonomy: Taxonomy
) -> tuple[list[Placed], int, bool]:
    """The images, how many were renamed, and whether they were numbered anew."""
    placed, renamed, renumbered = [], 0, False
    prefixes = _prefixes(paths)
    for split in splits:
        of_split = [(k, own[split]) for k, own in enumerate(opened) if split in own]
        names = {k: flat_names(dataset) for k, dataset in of_split}
        stems = Counter(Path(name).stem for own in names.values() for name in own)
        ids = Counter(str(dataset.image_id(i)) for _, dataset in of_split for i in range(len(dataset)))
        again = any(count > 1 for count in ids.values())
        renumbered |= again
        start = len(placed)
        for k, dataset in of_split:
            classes = tuple(taxonomy.names.index(name) for name in dataset.taxonomy.names)
            for index, name in enumerate(names[k]):
                if stems[Path(name).stem] > 1:
                    name, renamed = f"{prefixes[k]}_{name}", renamed + 1
                image_id = len(placed) - start + 1 if again else dataset.image_id(index)
                placed.append(Placed(dataset, index, split, name, image_id, classes))
        stems = Counter(Path(own.name).stem for own in placed[start:])
        same = next((stem for stem, count in stems.items() if count > 1), None)
        if same is not None:
            raise UserError(f"Two images of the split {split!r} would both be called {same}: rename one of them.")
    return placed, renamed, renumbered


def _prefixes(paths: Sequence[Path]) -> list[str]:
    """The folders' names, with numbers where they are the same."""
    names = [path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else f"{name}{k}" for k, name in enumerate(names, start=1)]
