"""The checkpoint to resume from is never lost: by a full disk, a kill amid the write, or damage later."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.engine.checkpoint import LAST, load_checkpoint
from pantile.engine.checkpoint_files import PREVIOUS, CheckpointFiles, clear_leftovers, file_to_resume


def content(step: int, size: int = 30_000) -> dict:
    return {"global_step": step, "pantile": {"step": step}, "state_dict": {"model.a": torch.full((size,), float(step))}}


def step_of(path: Path) -> int:
    read = torch.load(path, weights_only=True)
    assert (read["state_dict"]["model.a"] == read["global_step"]).all()
    return read["global_step"]


def test_the_one_before_is_kept(tmp_path):
    files = CheckpointFiles()
    for step in range(3):
        files.save_checkpoint(content(step), tmp_path / LAST)
        assert step_of(tmp_path / LAST) == step
        assert (tmp_path / PREVIOUS).exists() == (step > 0)
    assert step_of(tmp_path / PREVIOUS) == 1
    assert sorted(path.name for path in (tmp_path / LAST).parent.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert file_to_resume(tmp_path) == (tmp_path / LAST, None)


@pytest.mark.parametrize("how", ["cut", "changed", "missing", "empty"])
def test_the_one_before_takes_the_place_of_a_damaged_one(tmp_path, how):
    files, last = CheckpointFiles(), tmp_path / LAST
    for step in (1, 2):
        files.save_checkpoint(content(step), last)
    whole = last.read_bytes()
    middle = len(whole) // 2
    if how == "missing":
        last.unlink()
    else:
        changed = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        last.unlink()  # not through the link that the file may share
        last.write_bytes({"cut": whole[:middle], "changed": changed, "empty": b""}[how])
    file, problem = file_to_resume(tmp_path)
    assert file == tmp_path / PREVIOUS and problem and step_of(file) == 1
    # the damaged one never takes the place of the one before
    files = CheckpointFiles()
    files.last_is_sound = False
    files.save_checkpoint(content(3), last)
    assert (step_of(last), step_of(tmp_path / PREVIOUS)) == (3, 1)
    (tmp_path / PREVIOUS).unlink()
    last.write_bytes(whole[:middle])
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        file_to_resume(tmp_path)


def test_what_does_not_read_back_takes_no_place(tmp_path, monkeypatch):
    files = CheckpointFiles()
    files.save_checkpoint(content(1), tmp_path / LAST)
    write = torch.save

    def lose_the_end(thing: object, file: object) -> None:
        write(thing, file)
        file.truncate(file.tell() // 2)

    monkeypatch.setattr(torch, "save", lose_the_end)
    with pytest.raises(UserError, match="does not read back"):
        files.save_checkpoint(content(2), tmp_path / LAST)
    assert step_of(tmp_path / LAST) == 1 and len(list((tmp_path / LAST).parent.iterdir())) == 1


def save_with_little_room(folder: Path, limit: int) -> str:
    """What a process says that may write files of ``limit`` bytes only."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            CheckpointFiles().save_checkpoint(content(2), folder / LAST)
        except UserError as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours) as said:
        return said.read()


@pytest.mark.parametrize("limit", [100, 50_000, 119_000])
def test_a_full_disk_leaves_what_is_there(tmp_path, limit):
    CheckpointFiles().save_checkpoint(content(1), tmp_path / LAST)
    assert (tmp_path / LAST).stat().st_size > 119_000
    said = save_with_little_room(tmp_path, limit)
    assert "cannot be written at step 2 (File too large)" in said and "--resume" in said
    assert step_of(tmp_path / LAST) == 1 and list((tmp_path / LAST).parent.iterdir()) == [tmp_path / LAST]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB: three checkpoints of 120 KB fit, four do not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a file system takes root")
    options = [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if subprocess.run(options, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk_that_fills(small_disk):
    files = CheckpointFiles()
    for step in (1, 2, 3):
        files.save_checkpoint(content(step), small_disk / LAST)
    (small_disk / "other").write_bytes(bytes(100_000))  # no room for a third: the older one goes
    files.save_checkpoint(content(4), small_disk / LAST)
    assert step_of(small_disk / LAST) == 4
    with pytest.raises(OSError), (small_disk / "more").open("wb", buffering=0) as more:
        while more.write(bytes(4096)):
            pass
    for step in (5, 6):
        with pytest.raises(UserError, match=f"at step {step} .No space left on device."):
            files.save_checkpoint(content(step, 40_000), small_disk / LAST)
        assert step_of(file_to_resume(small_disk)[0]) == 4
    (small_disk / "more").unlink()
    (small_disk / "other").unlink()
    files.save_checkpoint(content(7), small_disk / LAST)
    assert step_of(small_disk / LAST) == 7


def test_forty_kills_amid_the_write_lose_nothing(tmp_path):
    """A process that saves again and again is killed at any moment; the next one goes on from what is there."""
    chance = random.Random(0)
    last, finished, files = tmp_path / LAST, 0, CheckpointFiles()
    files.save_checkpoint(content(0, 3000), last)
    longest_wait = 0.01
    for _ in range(40):
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            try:
                for step in range(finished + 1, finished + 100):
                    os.write(theirs, b"w")
                    files.save_checkpoint(content(step, 3000), last)
                    os.write(theirs, b".")
            finally:
                os._exit(1)
        os.close(theirs)
        said = os.read(ours, 1)
        time.sleep(chance.uniform(0, longest_wait))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said += os.read(ours, 1000)
        os.close(ours)
        file, problem = file_to_resume(tmp_path)
        assert file == last and problem is None
        written = step_of(last) - finished - said.count(b".")
        assert written in (0, 1)  # none that was told is lost; one may be there that was not told yet
        # about one save a kill, however busy the machine is: some kills come before, some after the file is moved
        longest_wait *= 0.8 if step_of(last) > finished else 1.25
        finished = step_of(last)
    assert finished > 3
    clear_leftovers(tmp_path)
    assert sorted(path.name for path in last.parent.iterdir()) == ["last.ckpt", "previous.ckpt"]


class _Foreign:
    """Something that a checkpoint of another project may hold."""


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: path.write_bytes(b"not a checkpoint"), "damaged or another kind of file"),
        (lambda path: torch.save({"hyper_parameters": _Foreign()}, path), "holds Python objects"),
        (lambda path: torch.save({"state_dict": {}}, path), "was not written by pantile"),
    ],
)
def test_a_foreign_checkpoint_is_told_in_our_words(tmp_path, write, told):
    path = tmp_path / "theirs.ckpt"
    write(path)
    with pytest.raises(UserError, match=told) as refused:
        load_checkpoint(path)
    assert "\n" not in str(refused.value) and "weights_only" not in str(refused.value)
