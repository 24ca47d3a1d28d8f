"""Joining the processes that ``torchrun`` started, for jobs that only share out files."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as distributed

from pantile.engine.processes import Processes


@contextmanager
def join_processes(world: Processes) -> Iterator[None]:
    """A gloo group while the block runs; nothing for a single process."""
    if world.total == 1:
        yield
        return
    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()
