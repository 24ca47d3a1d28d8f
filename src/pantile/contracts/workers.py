"""Worker processes that answer no signal and never outlive the process that started them."""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import TypeVar

from pantile.contracts.errors import UserError
from pantile.contracts.interruption import SIGNALS

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE = 20.0  # seconds


def stay_with_parent(*_: object) -> None:
    """The first call in every worker process, such as ``worker_init_fn`` of a ``DataLoader``.

    A terminal sends Ctrl-C, and ``timeout`` sends SIGTERM, to workers too: they leave the answer to their parent,
    which still needs them to end in good order. When it dies, by whatever signal, they die.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("stay_with_parent is for processes that multiprocessing started")
    for number in SIGNALS:
        signal.signal(number, _leave_soon if number == signal.SIGTERM else signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # before any thread starts, since threads inherit what is blocked
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_told_by, args=(parent.pid,), daemon=True).start()
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
    if sys.platform == "linux":
        _die_with_parent()


def _end_when_told_by(parent: int | None) -> None:
    """``Process.terminate`` of the parent sends SIGTERM too, and that one is meant; one of a launcher, a batch system
    or ``timeout`` is not, however long the parent then needs for its step."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    time.sleep(_GRACE)
    os._exit(1)


def _leave_soon(*_: object) -> None:
    """Where the system does not tell who sent SIGTERM: who is still there after a while was meant."""
    timer = threading.Timer(_GRACE, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _end_after(parent: BaseProcess) -> None:
    """Works on every system. Forked siblings hold each other's ends of these pipes, so the youngest goes first."""
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _die_with_parent() -> None:
    """The kernel's own way, which does not wait for Python's lock. It watches the thread that forked: where that is
    not the main one, it may end before the process does, and must not take the worker with it."""
    forked_by_main = type(threading.main_thread()).__name__ == "_MainThread"
    if forked_by_main and multiprocessing.get_start_method(allow_none=True) in (None, "fork"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def map_in_workers(work: Callable[[int], T], count: int, workers: int, chunk: int) -> Iterator[T]:
    """``work(0), work(1), ... work(count - 1)`` in order, whatever the number of processes.

    Processes, not threads: decoding and counting hold Python's lock for much of the time. Where the platform can
    fork, workers share the memory and the imports of this process. Few calls are made here, without any process.

    Args:
        work: travels to each worker once.
        chunk: calls that a worker takes at a time.

    Raises:
        UserError: a worker died.
    """
    if workers < 2 or count <= chunk:
        yield from map(work, range(count))
        return
    start = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    chunks = [range(first, min(first + chunk, count)) for first in range(0, count, chunk)]
    pool = ProcessPoolExecutor(
        min(workers, len(chunks)), multiprocessing.get_context(start), initializer=_begin, initargs=(work,)
    )
    try:
        for results in pool.map(_call, chunks):
            yield from results
    except BrokenProcessPool:
        raise UserError("A worker process died, perhaps for lack of memory: use fewer --workers.") from None
    finally:
        pool.shutdown(cancel_futures=True)


_WORK: Callable[[int], object]  # of this worker process


def _begin(work: Callable[[int], object]) -> None:
    global _WORK
    _WORK = work
    stay_with_parent()


def _call(indices: range) -> list:
    return [_WORK(index) for index in indices]
