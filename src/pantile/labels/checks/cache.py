"""What an earlier check found, so that an interrupted one resumes and a second one reads only changed files.

A convenience that never stops a check: whatever is wrong with it, one warning is given and the check goes on without.
"""

import json
import os
import sqlite3
import warnings
import zlib
from pathlib import Path
from types import TracebackType

from pantile.labels.checks.pixels import ImageResult

_TABLE = "results_3"  # a new number forgets the results of a check that looked at less
_SUM = 8  # characters of a row's checksum, which stand before its JSON
_WRITE_EVERY = 32
_PATIENCE = 5  # seconds to wait for another process, which locks the file for milliseconds at a time


def default_cache() -> Path | None:
    """``pantile/check.sqlite`` in the user's cache folder; None where there is no such folder, with a warning."""
    folder = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(folder) if folder else Path.home() / ".cache") / "pantile" / "check.sqlite"
    except RuntimeError:  # no home
        warnings.warn("There is no home folder: nothing is remembered of this check.", stacklevel=2)
        return None


class Cache:
    """Results by fingerprint, in an SQLite file; a context manager that keeps what it has when interrupted.

    Args:
        path: the file; None remembers nothing.

    Warns:
        UserWarning: once, when the file cannot be used (damaged, of another kind, read-only, locked for long, disk
            full); from then on nothing is looked up or kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._new: list[tuple[str, str]] = []
        self._connection: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise sqlite3.OperationalError("it is no regular file")
            self._connection = sqlite3.connect(path, timeout=_PATIENCE)
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (fingerprint TEXT PRIMARY KEY, result TEXT NOT NULL)"
            )
            self._connection.commit()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._write()
        self._close()

    def get(self, fingerprint: str) -> ImageResult | None:
        """None where there is nothing, or nothing that makes sense: then the image is looked at again."""
        if self._connection is None:
            return None
        try:
            query = f"SELECT result FROM {_TABLE} WHERE fingerprint = ?"
            row = self._connection.execute(query, (fingerprint,)).fetchone()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return None
        text = row[0] if row is not None and isinstance(row[0], str) else ""
        if text[:_SUM] != _checksum(fingerprint, text[_SUM:]):
            return None
        return ImageResult.from_dict(json.loads(text[_SUM:]))

    def put(self, fingerprint: str, result: ImageResult) -> None:
        if self._connection is None:
            return
        text = json.dumps(result.to_dict())
        self._new.append((fingerprint, _checksum(fingerprint, text) + text))
        if len(self._new) >= _WRITE_EVERY:
            self._write()

    def _write(self) -> None:
        """Everything new at once, so that the file is locked for no longer than that takes."""
        if self._connection is None or not self._new:
            return
        try:
            self._connection.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?)", self._new)
            self._connection.commit()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        self._new = []

    def _give_up(self, error: Exception) -> None:
        text = f"{self._path} cannot be used ({error}): nothing more is remembered of this check; if it stays so, "
        warnings.warn(text + "delete that file.", stacklevel=3)
        self._close()

    def _close(self) -> None:
        """Closing may complain about what was complained about before."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except sqlite3.Error:
            pass


def _checksum(fingerprint: str, text: str) -> str:
    """SQLite has none, and a flipped bit may make another valid number."""
    return f"{zlib.crc32((fingerprint + text).encode('utf-8', 'surrogatepass')):0{_SUM}x}"
