"""The cache of a check is a convenience: whatever happens to its file, the check finds what it finds without."""

import os
import random
import sqlite3
import warnings
from pathlib import Path

import pytest

from labels.checked_folder import edit, rows_of, write_folder
from pantile.labels.checks import cache as check_cache
from pantile.labels.checks.cache import default_cache
from pantile.labels.checks.check import CheckOptions, check
from pantile.labels.checks.pixels import ImageResult


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = write_folder(tmp_path / "in")
    edit(root, lambda data: rows_of(data)[0].update(area=1))
    return root


@pytest.fixture
def cache(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "check.sqlite"
    assert check(folder, CheckOptions(cache=path)).counts == {"wrong-area": 1}
    return path


def same(folder: Path, cache: Path, warned: bool) -> None:
    """Twice: what the first one leaves behind must not stop the second."""
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert check(folder, CheckOptions(cache=cache)).counts == {"wrong-area": 1}
        told = [str(w.message) for w in caught if "cannot be used" in str(w.message)]
        assert len(told) == (1 if warned else 0), told


def change(cache: Path, statement: str) -> None:
    connection = sqlite3.connect(cache)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "value", ["'{}'", "'garbage'", "x'00ff'", "7", "substr(result, 1, 30)", "replace(result, '1', '2')"]
)
def test_damaged_rows_are_looked_at_again(folder: Path, cache: Path, value: str) -> None:
    change(cache, f"UPDATE {check_cache._TABLE} SET result = {value}")
    same(folder, cache, warned=False)


def test_another_schema(folder: Path, cache: Path) -> None:
    change(cache, f"DROP TABLE {check_cache._TABLE}")
    change(cache, f"CREATE TABLE {check_cache._TABLE} (a, b, c)")
    same(folder, cache, warned=True)


def test_damaged_pages(folder: Path, cache: Path) -> None:
    """Wherever bytes are overwritten, the findings are the same; nothing is raised."""
    whole, rng = cache.read_bytes(), random.Random(0)
    for _ in range(12):
        content = bytearray(whole)
        start = rng.randrange(len(content))
        content[start : start + 400] = rng.randbytes(min(400, len(content) - start))
        cache.write_bytes(content[: len(whole)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert check(folder, CheckOptions(cache=cache)).counts == {"wrong-area": 1}


def test_a_cache_that_cannot_be_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    same(folder, tmp_path / "file" / "check.sqlite", warned=True)
    (tmp_path / "folder.sqlite").mkdir()
    same(folder, tmp_path / "folder.sqlite", warned=True)
    os.mkfifo(tmp_path / "pipe.sqlite")
    same(folder, tmp_path / "pipe.sqlite", warned=True)
    readonly = tmp_path / "readonly.sqlite"
    change(readonly, f"CREATE TABLE {check_cache._TABLE} (fingerprint TEXT PRIMARY KEY, result TEXT NOT NULL)")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **k: connect(f"file:{path}?mode=ro", uri=True, **k))
    same(folder, readonly, warned=True)


def test_a_cache_that_another_process_locks(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_cache, "_PATIENCE", 0.05)
    other = sqlite3.connect(cache)
    other.execute("BEGIN EXCLUSIVE")
    same(folder, cache, warned=True)
    other.close()
    same(folder, cache, warned=False)


def test_a_check_locks_the_cache_only_while_it_writes(folder: Path, cache: Path) -> None:
    with check_cache.Cache(cache) as first, check_cache.Cache(cache) as second:
        for own in (first, second):
            own.put("x", _some_result())
        first._write()
        second._write()
        assert first.get("x") == second.get("x") == _some_result()


def _some_result() -> ImageResult:
    return ImageResult("a.png", segments=3)


def test_a_change_of_equal_size_and_time_is_found(folder: Path, cache: Path) -> None:
    png = folder / "annotations" / "panoptic_train" / "a.png"
    status, content = png.stat(), bytearray(png.read_bytes())
    content[len(content) // 2] ^= 0xFF
    png.write_bytes(content)
    os.utime(png, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (png.stat().st_size, png.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert "label-broken" in check(folder, CheckOptions(cache=cache)).counts


def test_without_a_home_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.warns(UserWarning, match="no home folder"):
        assert default_cache() is None
