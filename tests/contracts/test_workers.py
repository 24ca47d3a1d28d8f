"""Worker processes: none outlives its parent, whatever ends it, and none answers a signal that is for the parent."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from torch.utils.data import Dataset

from pantile.contracts.workers import map_in_workers, stay_with_parent
from pantile.data.loader import Loader


class Naps(Dataset):
    """Work that takes long; each worker says through a pipe that it is there."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        os.write(self.pipe, f"{os.getpid()} ".encode())
        time.sleep(60)
        return index


def in_a_pool(naps: Naps) -> None:
    list(map_in_workers(naps.__getitem__, 8, workers=2, chunk=1))


def in_a_loader(naps: Naps) -> None:
    list(Loader(naps, num_workers=2))


def start(job: Callable[[Naps], None]) -> tuple[int, set[int]]:
    """A process that runs the job, and its two workers."""
    ours, theirs = os.pipe()
    parent = os.fork()
    if not parent:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            job(Naps(theirs))
        finally:
            os._exit(1)
    os.close(theirs)
    workers: set[int] = set()
    said = ""
    while len(workers) < 2:
        said += os.read(ours, 100).decode()
        workers = {int(number) for number in said.split(" ")[:-1]}
    os.close(ours)
    return parent, workers


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("job", [in_a_pool, in_a_loader])
@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "portable"])
def test_no_worker_outlives_its_parent(job, how, kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr("pantile.contracts.workers._die_with_parent", lambda: None)
    parent, workers = start(job)
    assert all(map(alive, workers))
    os.kill(parent, how)
    os.waitpid(parent, 0)
    assert wait_until(lambda: not any(map(alive, workers)))


@needs_proc
def test_workers_leave_signals_to_their_parent(monkeypatch):
    """However long it needs: a step that takes longer than workers wait for their end was lost, with a traceback."""
    monkeypatch.setattr("pantile.contracts.workers._GRACE", 0.1)
    parent, workers = start(in_a_loader)
    for worker in workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker, number)
    time.sleep(0.6)
    assert all(map(alive, workers)) and alive(parent)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert wait_until(lambda: not any(map(alive, workers)))


def nap_beside_parent() -> None:
    stay_with_parent()
    time.sleep(60)


def test_a_worker_that_its_parent_terminates_leaves(monkeypatch):
    monkeypatch.setattr("pantile.contracts.workers._GRACE", 0.1)
    worker = multiprocessing.get_context("fork").Process(target=nap_beside_parent)
    worker.start()
    time.sleep(0.3)
    worker.terminate()
    worker.join(15)
    assert worker.exitcode is not None


def double(numbers: list[int], index: int) -> int:
    return 2 * numbers[index]


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers):
    assert list(map_in_workers(partial(double, list(range(10))), 10, workers, chunk=2)) == list(range(0, 20, 2))
