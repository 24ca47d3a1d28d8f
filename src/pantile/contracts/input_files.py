"""Files that are only read: what is none is refused, because opening a pipe waits for a writer that may never come."""

import stat
from pathlib import Path

from pantile.contracts.errors import UserError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def regular_file(path: str | Path) -> Path:
    """The path, to be opened at once.

    Raises:
        UserError: it is no regular file: a folder, a pipe, a socket or a device.
        OSError: as ``Path.stat`` raises it, for a file that is missing or out of reach.
    """
    path = Path(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
        raise UserError(f"{path} is {kind}, not a file: name a file, or save the content as one.")
    return path
