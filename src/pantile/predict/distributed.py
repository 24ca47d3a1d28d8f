"""Joining the processes that ``torchrun`` started, for jobs that only share out files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pantile.contracts.errors import UserError
from pantile.engine.processes import Processes

T = TypeVar("T")


@contextmanager
def join_processes(world: Processes) -> Iterator[None]:
    """A gloo group while the block runs; nothing for a single process."""
    if world.total == 1:
        yield
        return
    import torch.distributed as distributed  # here, because one process needs no torch for this

    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def on_first(function: Callable[[], T], rank: int, world_size: int) -> T:
    """What ``function`` gives in process 0, in every process; its UserError, too, so that nobody waits for it."""
    if world_size == 1:
        return function()
    import torch.distributed as distributed

    answer: list = [None, None]
    if rank == 0:
        try:
            answer[0] = function()
        except UserError as error:
            answer[1] = str(error)
        except OSError as error:
            answer[1] = f"{error.filename or 'The output'}: {error.strerror}"
    distributed.broadcast_object_list(answer)
    if answer[1] is not None:
        raise UserError(answer[1])
    return answer[0]


def gathered(own: T, world_size: int) -> list[T]:
    """The objects of all processes, in their order."""
    if world_size == 1:
        return [own]
    import torch.distributed as distributed

    parts: list = [None] * world_size
    distributed.all_gather_object(parts, own)
    return parts
