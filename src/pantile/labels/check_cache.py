"""What an earlier check found, so that an interrupted one resumes and a second one reads only changed files."""

import json
import os
import sqlite3
import warnings
from pathlib import Path
from types import TracebackType

from pantile.labels.check_pixels import ImageResult

_TABLE = "results_2"  # a new number forgets the results of a check that looked at less
_COMMIT_EVERY = 32


def default_cache() -> Path:
    """``pantile/check.sqlite`` in the user's cache folder."""
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "pantile" / "check.sqlite"


class Cache:
    """Results by fingerprint, in an SQLite file; a context manager that keeps what it has when interrupted.

    Args:
        path: the file; None remembers nothing beyond this process.

    Warns:
        UserWarning: the file cannot be used; the check goes on without it.
    """

    def __init__(self, path: Path | None) -> None:
        self._new = 0
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(":memory:" if path is None else str(path))
        except (sqlite3.Error, OSError) as error:
            warnings.warn(f"{path} cannot be used ({error}): nothing is remembered of this check.", stacklevel=2)
            self._connection = _open(":memory:")

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.commit()
        self._connection.close()

    def get(self, fingerprint: str) -> ImageResult | None:
        row = self._connection.execute(f"SELECT result FROM {_TABLE} WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return None if row is None else ImageResult.from_dict(json.loads(row[0]))

    def put(self, fingerprint: str, result: ImageResult) -> None:
        values = (fingerprint, json.dumps(result.to_dict()))
        self._connection.execute(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?)", values)
        self._new += 1
        if self._new % _COMMIT_EVERY == 0:
            self._connection.commit()


def _open(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=30)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (fingerprint TEXT PRIMARY KEY, result TEXT NOT NULL)")
    connection.commit()
    return connection
