"""Files that labels need and that are not there: refused with their names, or left out and said."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from pantile.contracts.errors import UserError

SHOWN = 5  # names in a message


class MissingFiles(UserWarning):
    """Images were left out because a file is missing.

    Args:
        text: the sentence.
        count: how many files.
    """

    def __init__(self, text: str, count: int) -> None:
        super().__init__(text)
        self.count = count


def settle_missing(missing: Sequence[Path], total: int, what: str, skip: bool, stacklevel: int = 3) -> None:
    """
    Args:
        missing: the files, in the data set's order.
        total: of how many.
        what: of what, such as ``"files that panoptic_val.json names"``.
        skip: the caller leaves their images out.

    Raises:
        UserError: files are missing and may not be, or all of them are.

    Warns:
        MissingFiles: how many are left out, and the first names.
    """
    if not missing:
        return
    if not skip or len(missing) == total:
        way_out = "" if len(missing) == total else ", or leave them out with --skip-missing"
        verb = "does" if len(missing) == 1 else "do"
        raise UserError(
            f"{listed(missing)} {verb} not exist ({len(missing):,} of the {total:,} {what} are missing): restore "
            f"{'it' if len(missing) == 1 else 'them'}{way_out}."
        )
    warnings.warn(MissingFiles(left_out(missing, total, what), len(missing)), stacklevel=stacklevel)


def present_rows(needed: Sequence[tuple[Path, Sequence[str], str]], skip: bool) -> list[int]:
    """Rows all of whose files exist: one listing of each folder, not one question per file.

    Args:
        needed: folders, each with one name below it per row, and what they are, see ``settle_missing``.
        skip: the caller leaves out the other rows.

    Raises:
        UserError: see ``settle_missing``.
    """
    lost: set[int] = set()
    for folder, names, what in needed:
        present = names_in(folder)
        own = [k for k, name in enumerate(names) if name not in present and not _is_below(folder, name)]
        settle_missing([folder / names[k] for k in own], len(names), what, skip, stacklevel=5)
        lost.update(own)
    return [k for k in range(len(needed[0][1])) if k not in lost]


def names_in(folder: Path) -> set[str]:
    """What lies in a folder; links to nowhere, as tools leave for files that were not fetched, are missing."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.is_symlink() or os.path.exists(entry.path)}  # noqa: PTH110


def _is_below(folder: Path, name: str) -> bool:
    return "/" in name and (folder / name).is_file()


def left_out(missing: Sequence[Path], total: int, what: str) -> str:
    """The sentence for files that are skipped."""
    return f"{len(missing):,} of the {total:,} {what} are missing and were left out: {listed(missing)}."


def listed(paths: Sequence[Path]) -> str:
    """The first names in full, and how many more there are."""
    more = f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
    return ", ".join(map(str, paths[:SHOWN])) + more
