"""Splits a labelled folder into train, val and test so that images of one photo stay together.

Groups come from the images' content (``content_groups`` says what that finds and what not) and from a rule on their
names. Whole groups are dealt out by iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, "On the
Stratification of Multi-label Data", Figure 1): the rarest class first, each to the split that lacks it most.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from pantile.contracts.errors import UserError
from pantile.data.bands import description_of
from pantile.data.dataset import PanopticDataset
from pantile.data.described_images import write_images_beside
from pantile.labels.formats.coco_panoptic import StoredLabel
from pantile.labels.splitting.content_groups import Groups, join_by_content
from pantile.labels.splitting.written import Placed, flat_names, stored_label, write_placed
from pantile.labels.staging import staged
from pantile.labels.statistics import map_of

CONTENT = ("overlap", "none")


@dataclass(frozen=True)
class SplitOptions:
    """
    Attributes:
        val, test: shares of the images, 0..1; a test share of 0 makes no such split.
        seed: decides between groups that would fit equally well.
        group_by_name: regular expression; images whose names match at their beginning with the same text (of the
            first group in parentheses, if there is one) stay together. None for no such rule.
        content: ``"overlap"`` keeps together what ``content_groups`` finds; ``"none"`` does not look, for a set of so
            many images that comparing them takes too long, or where the name says it all.
        link: hard-link the images instead of copying them, but for those that ``place_photo`` has to change.
        progress: show progress bars on stderr.
    """

    val: float = 0.1
    test: float = 0.0
    seed: int = 0
    group_by_name: str | None = None
    content: str = "overlap"
    link: bool = False
    progress: bool = False

    @property
    def shares(self) -> dict[str, float]:
        shares = {"train": 1 - self.val - self.test, "val": self.val}
        return shares | {"test": self.test} if self.test else shares


@dataclass(frozen=True)
class SplitResult:
    """
    Attributes:
        groups: indices of images that stay together, ordered by their first image; alone is a group as well.
        indices: split to the images in it, ascending.
        occurrence: (images, K) bool: the classes of each image.
    """

    groups: list[list[int]]
    indices: dict[str, list[int]]
    occurrence: np.ndarray


def split_folder(dataset: PanopticDataset, out: str | Path, options: SplitOptions) -> SplitResult:
    """Writes a folder in COCO-panoptic layout; ``out`` appears complete or not at all.

    What a ``dataset.yaml`` says of the images goes with them.

    Args:
        dataset: read from files; it is not changed.
        out: must not exist, or be an empty folder.
        options: see ``SplitOptions``.

    Raises:
        UserError: an impossible option, too few groups, two images that would share a name, or a broken label.
    """
    _check(options, len(dataset))
    with staged(Path(out)) as folder:
        names = flat_names(dataset)
        survey = _survey(dataset, options)
        groups = Groups(len(dataset))
        if options.group_by_name is not None:
            groups.join_equal(name_keys([dataset.name_of(k) for k in range(len(dataset))], options.group_by_name))
        if options.content == "overlap":
            join_by_content(groups, dataset.load_image, survey.sizes, options.progress)
        members = groups.members()
        indices = deal(members, survey.occurrence, options.shares, options.seed)
        placed = [
            Placed(dataset, index, split, names[index], dataset.image_id(index), label=survey.labels[index])
            for index, split in sorted((index, split) for split, own in indices.items() for index in own)
        ]
        write_placed(placed, indices, dataset.taxonomy, folder, options.link, options.progress)
        write_images_beside(folder, description_of(dataset))
    return SplitResult(members, indices, survey.occurrence)


def name_keys(names: Sequence[str], pattern: str) -> list[str | None]:
    """What each name is grouped by; None where the pattern does not match.

    Raises:
        UserError: the pattern is no regular expression, or matches not a single name.
    """
    try:
        rule = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group-by-name {pattern!r} is no regular expression ({error}): correct it.") from None
    matches = [rule.match(name) for name in names]
    if names and not any(matches):
        raise UserError(f"--group-by-name {pattern!r} matches no file name, such as {names[0]!r}: correct it.")
    return [m and m.group(1 if rule.groups else 0) for m in matches]


def deal(
    groups: Sequence[Sequence[int]], occurrence: np.ndarray, shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Gives every group to one split.

    Args:
        groups: disjoint lists of images.
        occurrence: (images, K) bool.
        shares: split to its share of the images; they sum to 1.
        seed: for ties.

    Returns:
        Split to images, ascending. Every split has at least one group.

    Raises:
        UserError: fewer groups than splits.
    """
    if len(groups) < len(shares):
        raise UserError(
            f"The images form {len(groups)} group(s) that must stay together, which is too few for {len(shares)} "
            "splits: label more images, or ask for fewer splits."
        )
    rng = np.random.default_rng(seed)
    share_S = np.array(list(shares.values()))
    per_group_GK = np.array([occurrence[list(group)].sum(axis=0) for group in groups])
    size_G = np.array([len(group) for group in groups])
    lacking_SK = share_S[:, None] * per_group_GK.sum(axis=0)
    lacking_S = share_S * size_G.sum()
    split_G = np.full(len(groups), -1)
    order = rng.permutation(len(groups))
    order = order[np.argsort(-size_G[order], kind="stable")]  # large groups first, while there is room for them

    def give(group: int, split: int) -> None:
        split_G[group] = split
        lacking_SK[split] -= per_group_GK[group]
        lacking_S[split] -= size_G[group]

    while (split_G < 0).any():
        left_K = per_group_GK[split_G < 0].sum(axis=0)
        if not left_K.any():
            break
        rarest = int(np.where(left_K > 0, left_K, np.iinfo(np.int64).max).argmin())
        for group in order:
            if split_G[group] < 0 and per_group_GK[group, rarest]:
                give(group, _neediest(lacking_SK[:, rarest], lacking_S, rng))
    for group in order:
        if split_G[group] < 0:
            give(group, _neediest(lacking_S, lacking_S, rng))
    _fill_empty(split_G, size_G, len(shares))
    return {
        name: sorted(image for group in np.flatnonzero(split_G == s) for image in groups[group])
        for s, name in enumerate(shares)
    }


def _neediest(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> int:
    """The split with the largest need; ties by the second need, then by chance."""
    best = np.flatnonzero(np.isclose(first, first.max()))
    best = best[np.isclose(second[best], second[best].max())]
    return int(rng.choice(best))


def _fill_empty(split_G: np.ndarray, size_G: np.ndarray, splits: int) -> None:
    """A split that got nothing, because its share is less than a group, takes the smallest group of the fullest."""
    for split in range(splits):
        if (split_G == split).any():
            continue
        fullest = np.bincount(split_G, minlength=splits).argmax()
        candidates = np.flatnonzero(split_G == fullest)
        split_G[candidates[size_G[candidates].argmin()]] = split


def _check(options: SplitOptions, images: int) -> None:
    for option, share in (("--val", options.val), ("--test", options.test)):
        lowest = 0 if option == "--test" else 1e-9
        if not lowest <= share < 1:
            raise UserError(f"{option} is {share}: give a share of the images between 0 and 1, such as 0.1.")
    if options.val + options.test >= 1:
        raise UserError(f"--val {options.val} and --test {options.test} leave nothing to train on: lower them.")
    if options.content not in CONTENT:
        raise UserError(f"--group-by-content is {options.content!r}: choose from {', '.join(CONTENT)}.")
    if options.seed < 0:
        raise UserError(f"--seed is {options.seed}: give a whole number from 0.")
    if not images:
        raise UserError("The split has no images: choose another one.")


@dataclass(frozen=True)
class _Survey:
    """
    Attributes:
        sizes: (height, width) of each map.
        occurrence: (images, K) bool: the classes of each image, as segments or as crowd.
        labels: of each image, see ``stored_label``.
    """

    sizes: list[tuple[int, int]]
    occurrence: np.ndarray
    labels: list[StoredLabel | None]


def _survey(dataset: PanopticDataset, options: SplitOptions) -> _Survey:
    """Reads each label once, before the longer work, so that a broken one is told at once."""
    found = _Survey([], np.zeros((len(dataset), len(dataset.taxonomy)), dtype=bool), [])
    for index in _track(dataset, "labels", options):
        panoptic = map_of(dataset, index)
        found.sizes.append(panoptic.size)
        found.occurrence[index, [segment.class_index for segment in panoptic.segments]] = True
        found.labels.append(stored_label(dataset, index, panoptic, dataset.taxonomy))
    return found


def _track(dataset: PanopticDataset, what: str, options: SplitOptions) -> Iterable[int]:
    return track(range(len(dataset)), what, console=Console(stderr=True), disable=not options.progress)
