"""Names of files that a JSON gives: which of them stay in their folder."""

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from pantile.contracts.clean_text import is_clean


def is_inside(name: Any) -> bool:
    """Whether a ``file_name`` is a text that names a file of its own folder, or of a folder in it.

    No absolute path and no ``..``, in the manner of Windows or of others, and no control characters.
    """
    if not isinstance(name, str) or not is_clean(name):
        return False
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    return bool(PurePosixPath(name).name) and not (
        PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts
    )
