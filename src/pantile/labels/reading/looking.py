"""Looking at files to tell a format, without reading them whole or refusing what is none."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import HEADER_BYTES, RGB_8, check_kind

MANY = 20  # files that are looked at before a folder counts as of another format
HEAD = 1 << 16


def files_of(folder: Path, suffix: str, many: int = MANY) -> list[Path]:
    """The first files with this ending in a folder and the folders in it, from the top; hidden ones left out."""
    return list(islice(_walk(folder, suffix), many)) if folder.is_dir() else []


def _walk(folder: Path, suffix: str) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(top, n) for n in sorted(names) if n.lower().endswith(suffix) and not n.startswith("."))


def is_rgb_png(path: Path) -> bool:
    """Of 8 bits, by the file's header."""
    if not path.is_file():  # opening a pipe would wait for whoever writes into it
        return False
    try:
        with path.open("rb") as file:
            check_kind(file.read(HEADER_BYTES), (RGB_8,), path)
    except (OSError, UserError):
        return False
    return True


def head(path: Path) -> str:
    """The first characters of a file, whatever it is; empty where it cannot be read, and of a pipe."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return file.read(HEAD).decode("utf-8", "replace")
    except OSError:
        return ""
