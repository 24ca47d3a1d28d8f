"""A part of a labelled folder: some of its images, by number, by name or by what they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import read_text
from pantile.contracts.same_classes import match_classes
from pantile.contracts.shortening import short
from pantile.data.bands import description_of
from pantile.data.described_images import write_images_beside
from pantile.data.labelled_photos import LabelledPhotos
from pantile.labels.splitting.folders import open_splits
from pantile.labels.splitting.written import Placed, flat_names, write_placed
from pantile.labels.staging import staged
from pantile.labels.statistics import map_of


@dataclass(frozen=True)
class SubsetOptions:
    """Which images; those that all of the conditions given allow.

    Attributes:
        splits: of the folder; empty for all.
        images: so many of each split, drawn by chance; None for all.
        seed: of the draw.
        names: file with the names of images, one a line, with or without folders and ending.
        classes: images that show at least one of these.
        skip_missing, link, progress: as for splitting.
    """

    splits: tuple[str, ...] = ()
    images: int | None = None
    seed: int = 0
    names: Path | None = None
    classes: tuple[str, ...] = ()
    skip_missing: bool = False
    link: bool = False
    progress: bool = False


def take_subset(root: str | Path, out: str | Path, options: SubsetOptions) -> dict[str, tuple[int, int]]:
    """Writes a folder in COCO-panoptic layout with all classes; ``out`` appears complete or not at all.

    Returns:
        Split to the number of images taken, and of how many.

    Raises:
        UserError: no condition, one that cannot be met, or a broken label.
    """
    if options.images is None and options.names is None and not options.classes:
        raise UserError("Nothing says which images: give --images N, --names FILE or --classes NAME.")
    if options.images is not None and options.images < 1:
        raise UserError(f"--images is {options.images}: give a whole number from 1.")
    with staged(Path(out)) as folder:
        opened = open_splits(Path(root), options.splits, options.skip_missing)
        named = None if options.names is None else _named(options.names, opened)
        first = next(iter(opened.values()))
        placed: list[Placed] = []
        counts = {}
        for split, dataset in opened.items():
            where = (f"the split {split!r}", "the first split")
            classes = match_classes(dataset.taxonomy, first.taxonomy, *where, "take each alone with --split")
            indices = list(range(len(dataset))) if named is None else named[split]
            if options.classes:
                indices = _showing(dataset, indices, options.classes)
            if options.images is not None:
                indices = _drawn(indices, options.images, options.seed, split)
            names = flat_names(dataset)
            placed += [Placed(dataset, k, split, names[k], dataset.image_id(k), classes) for k in indices]
            counts[split] = (len(indices), len(dataset))
        if not placed:
            raise UserError(f"No image of {root} meets the conditions: nothing was written.")
        write_placed(placed, opened, first.taxonomy, folder, options.link, options.progress)
        write_images_beside(folder, description_of(first))
    return counts


def _named(path: Path, opened: dict[str, LabelledPhotos]) -> dict[str, list[int]]:
    """Positions in each split of the images that a file names.

    Raises:
        UserError: a name that no image has, or that several have.
    """
    wanted = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    places: dict[str, list[tuple[str, int]]] = {}
    for split, dataset in opened.items():
        for index in range(len(dataset)):
            for name in _ways_to_name(split, dataset.name_of(index)):
                places.setdefault(name, []).append((split, index))
    found: dict[str, set[int]] = {split: set() for split in opened}
    for name in wanted:
        fits = places.get(name, [])
        if len(fits) != 1:
            told = f"{len(fits)} images have" if fits else "no image has"
            raise UserError(f"{path} names {short(name)}, which {told}: write the name as in the folder.")
        found[fits[0][0]].add(fits[0][1])
    return {split: sorted(own) for split, own in found.items()}


def _ways_to_name(split: str, name: str) -> set[str]:
    """With and without the split, folders and ending."""
    path = PurePosixPath(name)
    names = {name, path.name, path.stem, path.with_suffix("").as_posix()}
    return names | {f"{split}/{own}" for own in names}


def _showing(dataset: LabelledPhotos, indices: Sequence[int], classes: Sequence[str]) -> list[int]:
    unknown = [name for name in classes if name not in dataset.taxonomy.names]
    if unknown:
        raise UserError(
            f"--classes: {unknown[0]!r} is not a class; choose from {', '.join(dataset.taxonomy.names[:20])}."
        )
    wanted = {dataset.taxonomy.names.index(name) for name in classes}
    return [k for k in indices if wanted & {s.class_index for s in map_of(dataset, k).segments}]


def _drawn(indices: Sequence[int], count: int, seed: int, split: str) -> list[int]:
    if count > len(indices):
        raise UserError(f"The split {split!r} has {len(indices)} such images, not {count}: lower --images.")
    rng = np.random.default_rng(seed)
    return sorted(rng.choice(np.asarray(indices), count, replace=False).tolist())
