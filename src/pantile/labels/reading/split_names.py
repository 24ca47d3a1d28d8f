"""Folders and subsets of tools that are splits: only those which are called so."""

from collections.abc import Sequence
from typing import TypeVar

from pantile.contracts.errors import UserError

Part = TypeVar("Part")

_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def split_of(name: str) -> str:
    """The split that a part of a project is: itself where it is called like one, else ``train``."""
    return _NAMES.get(name.lower(), "train")


def by_split(parts: Sequence[tuple[str, Part]], wanted: Sequence[str], where: str) -> dict[str, list[Part]]:
    """Parts of a project by their splits, in order.

    Args:
        parts: the name of each, and itself.
        wanted: splits; empty for all. One name that is none of the splits renames the only split that there is.
        where: for messages.

    Raises:
        UserError: there is no such split.
    """
    found: dict[str, list[Part]] = {}
    for name, part in parts:
        found.setdefault(split_of(name), []).append(part)
    if len(wanted) == 1 and list(found) == ["train"]:
        return {wanted[0]: found["train"]}
    for name in wanted:
        if name not in found:
            raise UserError(f"{where} has no split {name!r}: choose from {', '.join(found)} with --split.")
    return {name: found[name] for name in wanted or found}
