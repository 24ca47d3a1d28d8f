"""Runs one function in several processes that know each other, and gives what each returned."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing


def in_processes(work: Callable, *arguments: Any, count: int = 2) -> list[Any]:
    """``work(rank, *arguments)`` of each rank under gloo: forks, which need not import everything again."""
    with TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            _worker, args=(count, folder, work, arguments), nprocs=count, start_method="fork"
        )
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(count)]


def _worker(rank: int, count: int, folder: str, work: Callable, arguments: tuple) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=count)
    torch.save(work(rank, *arguments), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
