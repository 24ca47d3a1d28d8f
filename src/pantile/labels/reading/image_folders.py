"""Where images and their labels lie, and what an image's id is called."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pantile.contracts.errors import UserError


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


def image_ids(stems: Sequence[str]) -> list[int]:
    """The numbers in the names where every name is a different number, as in COCO; else 1, 2, ..."""
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 16 for stem in stems):
        ids = [int(stem) for stem in stems]
        if len(set(ids)) == len(ids):
            return ids
    return list(range(1, len(stems) + 1))


def choose_splits(found: dict[str, Any], wanted: Sequence[str], src: Path) -> dict[str, Any]:
    """The splits that were asked for; all of them for an empty ``wanted``.

    Raises:
        UserError: there is no such split.
    """
    for split in wanted:
        if split not in found:
            raise UserError(f"{src} has no split {split!r}: choose from {', '.join(found)} with --split.")
    return {split: found[split] for split in wanted or found}
