"""Work of many small operations, which torch must not share out over threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_before = 1


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, torch computes with one thread.

    Threads of one operation wait for the slowest at its end. Where other programs hold the cores, a wait lasts as long
    as the system's time slices, some milliseconds, which is nothing for a network's layer and a hundred times the
    operation itself for a tile of a mask.

    Args:
        device: on which the tensors lie; elsewhere than on a CPU nothing changes.
    """
    global _inside, _before
    if device.type != "cpu":
        yield
        return
    with _lock:  # the number is one for the process, so who comes first keeps it for all
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
        torch.set_num_threads(_before)
