"""Folders that appear complete or not at all."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pantile.contracts.errors import UserError


@contextmanager
def staged(dst: Path) -> Iterator[Path]:
    """A folder beside ``dst`` that takes its place when the block ends, and vanishes when it fails.

    So does, in any case, what the block puts beside it under the folder's name and an ending.

    Raises:
        UserError: ``dst`` is in use, or the disk refuses.
    """
    dst = dst.resolve()
    try:
        refuse_in_use(dst)
        folder = dst.with_name(f".{dst.name[:40]}.{os.getpid()}.partial")  # a longer name may not fit
        try:
            folder.mkdir(parents=True)
            yield folder
            if dst.exists():
                dst.rmdir()
            folder.replace(dst)
        finally:
            for left in folder.parent.glob(f"{glob.escape(folder.name)}*"):
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{error.filename or dst}: {error.strerror or error}; nothing was written.") from None


def refuse_in_use(dst: Path) -> None:
    """
    Raises:
        UserError: ``dst`` is neither new nor an empty folder.
    """
    if dst.exists() and not (dst.is_dir() and not any(dst.iterdir())):
        raise UserError(f"{dst} exists and is not an empty folder: name a new one.")
