"""Whether a place can be written to, asked before the work whose result goes there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pantile.contracts.errors import UserError

_BLOCK = 4096  # bytes that are written and thrown away: a disk may have room for a name, and for no content


def check_file_target(path: Path) -> Path:
    """The path, where a file can be written there; folders on the way may be missing.

    Raises:
        UserError: it is a folder, a name is too long, or the folder to write into is no folder, read-only or full.
    """
    if _kind(path) == "folder":
        raise UserError(f"{path} is a folder: name a file to write.")
    if path.exists() and not path.is_file():  # it would be replaced, and a device with it
        raise UserError(f"{path} is no regular file: name a file to write.")
    _check_place(path)
    return path


def check_folder_target(path: Path) -> Path:
    """The path, where a folder is or can be made, and files written into it.

    Raises:
        UserError: it is a file, a name is too long, or the nearest folder that exists is read-only or full.
    """
    if _kind(path) == "file":
        raise UserError(f"{path} is a file: name a folder to write into.")
    _check_place(path)
    return path


@contextmanager
def telling(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """For libraries that say in their own words that the disk is full.

    Raises:
        UserError: instead of ``errors``.
    """
    try:
        yield
    except errors as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} cannot be written ({reason}): make room on the disk, or name another place.") from None


def _kind(path: Path) -> str | None:
    """ "folder", "file" (whatever is no folder), or None for what is not there or out of reach."""
    try:
        return "folder" if path.is_dir() else "file" if os.path.lexists(path) else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be written ({_reason(error)}): name another place.") from None


def _check_place(path: Path) -> None:
    """Writes into the nearest folder that is there, and asks whether the names below it fit."""
    try:
        place = path if path.is_dir() else path.parent
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            raise UserError(f"{path} cannot be written: {place} is no folder; name another place.")
        longest = os.pathconf(place, "PC_NAME_MAX")
        for name in path.absolute().parts[len(place.absolute().parts) :]:
            if len(os.fsencode(name)) > longest:
                raise UserError(f"{path} cannot be written: its name is longer than {longest} bytes; shorten it.")
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_BLOCK))
            file.flush()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be written ({_reason(error)}): name another place.") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
