"""Writing files so that a reader sees the old content or the new, never half of it, whatever happens meanwhile."""

import errno
import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_numbers = itertools.count()
_LONGEST_SUFFIX = 32  # bytes; what is longer is no ending that a writer looks at


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends, and vanishes when it fails.

    The content is on the disk before the name is: a full disk, a kill or a power cut leaves the old file or the new
    one. The file has the mode that the umask gives, whatever the writer in the block prefers. Any number of threads
    and processes may write the same ``path``; the last one stays.

    Raises:
        OSError: the folder, the name or the disk refuses; its ``filename`` is ``path``. What shows at once is told
            before the block runs.

    >>> with replacing(Path("result.json")) as temporary:
    ...     temporary.write_text("{}")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():  # also refuses a name that is too long
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary, mode = _reserve(path)
    try:
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) != mode:
            temporary.chmod(mode)
        _sync(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename in (None, os.fspath(temporary)):  # what was to be written is what people know
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path``, which is empty or not there, when the block ends, and vanishes with all
    that is in it when it fails. Its files have the mode that the umask gives.

    Raises:
        OSError: the disk refuses, or ``path`` has content by then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, suffix = _fitting(path)
    temporary = path.with_name(f".{stem}.{os.getpid()}-{next(_numbers)}{suffix}")
    temporary.mkdir()
    try:
        yield temporary
        mode = stat.S_IMODE(temporary.stat().st_mode) & 0o666
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(mode)
                _sync(file)
        if path.exists():
            path.rmdir()
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Removes what killed writers of ``path`` left beside it. Only for files that nobody else is writing now."""
    stem, suffix = _fitting(path)
    ours = re.compile(re.escape(f".{stem}.") + r"\d+-\d+" + re.escape(suffix))
    for other in path.parent.glob(".*"):
        if ours.fullmatch(other.name):
            other.unlink(missing_ok=True)


def _reserve(path: Path) -> tuple[Path, int]:
    """A new empty file beside ``path``, and the mode that it got."""
    stem, suffix = _fitting(path)
    while True:
        temporary = path.with_name(f".{stem}.{os.getpid()}-{next(_numbers)}{suffix}")
        try:
            file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:  # of a process with this number on another machine, or of one long gone
            continue
        except OSError as error:
            error.filename = str(path)
            raise
        mode = stat.S_IMODE(os.fstat(file).st_mode)
        os.close(file)
        return temporary, mode


def _fitting(path: Path) -> tuple[str, str]:
    """Stem and suffix, cut so that a temporary name made of them is no longer than the file system allows."""
    stem, suffix = path.stem, path.suffix
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        stem, suffix = path.name, ""
    try:
        longest = os.pathconf(path.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        longest = 255
    room = longest - len(os.fsencode(suffix)) - 2 - 32  # two dots, and two numbers with a hyphen
    return os.fsencode(stem)[:room].decode("utf-8", "ignore"), suffix


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes a new name durable, where folders can be opened (not on Windows) and synced (not on every network)."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
