"""Names of files in somebody's JSON: which stay in their folder, and which of two files mean the same image."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pantile.contracts.clean_text import is_clean

_TAILS = ("_gtFine", "_gtCoarse", "_leftImg8bit", "_instanceIds")  # what Cityscapes adds to the name of an image

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*/)*[A-Za-z0-9_-][A-Za-z0-9_. -]*")

Key = tuple[str, ...]


def is_inside(name: Any) -> bool:
    """Whether a ``file_name`` is a text that names a file of its own folder, or of a folder in it.

    No absolute path and no ``..``, in the manner of Windows or of others, and no control characters.
    """
    if isinstance(name, str) and _PLAIN.fullmatch(name):
        return True  # nearly all; a JSON has hundred thousands
    if not isinstance(name, str) or not is_clean(name):
        return False
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    return bool(PurePosixPath(name).name) and not (
        PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts
    )


def key_of(name: str) -> str:
    """The name without folders, ending and the tails that Cityscapes adds."""
    stem = PurePosixPath(name).stem
    for tail in _TAILS:
        stem = stem.partition(tail)[0] or stem
    return stem


class SharedNames:
    """The images that have one name in two sources.

    Names count as ``key_of`` says, with as many folders as it takes to tell the images of each source apart: none as a
    rule, so that ``val/aachen/a_leftImg8bit.png`` and ``a.png`` are one image; the last one where a data set has
    ``aachen/0.png`` beside ``bonn/0.png``.

    Attributes:
        pairs: position in the one -> position in the other, where the name occurs once in each.
        repeated: a name that both have and that means several images in one of them; None if there is none.
    """

    def __init__(self, one: Sequence[str], other: Sequence[str]) -> None:
        self._keys = [[_parts(name) for name in names] for names in (one, other)]
        self._depth = max(_depth(keys) for keys in self._keys)
        mine, theirs = (_positions(key[-self._depth :] for key in keys) for keys in self._keys)
        shared = [key for key in mine if key in theirs]
        self.pairs = {mine[key][0]: theirs[key][0] for key in shared if len(mine[key]) == len(theirs[key]) == 1}
        self.repeated = next(("/".join(key) for key in shared if len(mine[key]) + len(theirs[key]) > 2), None)

    def same(self, one: int, other: int) -> bool:
        """Whether two positions have one name, as far as the folders go that both names have."""
        mine, theirs = self._keys[0][one], self._keys[1][other]
        depth = min(self._depth, len(mine), len(theirs))
        return mine[-depth:] == theirs[-depth:]


def _parts(name: str) -> Key:
    path = PurePosixPath(name.replace("\\", "/"))
    return *path.parts[:-1], key_of(path.name)


def _depth(keys: Sequence[Key]) -> int:
    """The least number of last parts that tells all keys apart; all parts where nothing does."""
    deepest = max((len(key) for key in keys), default=1)
    return next((n for n in range(1, deepest) if len({key[-n:] for key in keys}) == len(keys)), deepest)


def _positions(keys: Iterable[Key]) -> dict[Key, list[int]]:
    positions = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    return positions


def crossed_names(images: Sequence[str], labels: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (image, other image whose label has its name), where ``labels[k]`` is the label of ``images[k]``.

    Labels that are named by a rule of their own cross nothing: only a name that occurs on the other side counts.
    """
    if all(image.rpartition(".")[0] == label.rpartition(".")[0] for image, label in zip(images, labels, strict=True)):
        return []  # the usual case, without taking long names apart
    return [(one, other) for one, other in SharedNames(images, labels).pairs.items() if one != other]


def distinct_names(paths: Sequence[Path]) -> list[str] | None:
    """The last part of each path, with as many folders as it takes to tell them apart; None where two are the same."""
    if len(set(paths)) < len(paths):
        return None
    lengths = range(1, max(len(path.parts) for path in paths) + 1)
    named = (["/".join(path.parts[-length:]) for path in paths] for length in lengths)
    return next(names for names in named if len(set(names)) == len(names))
