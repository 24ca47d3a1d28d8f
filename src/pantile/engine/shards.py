"""Tensors of which each process holds a part (``torch.distributed.tensor.DTensor``), beside those that all hold whole.

Each function takes both kinds, so that who saves, loads or averages weights need not ask how a run was started.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def part_here(tensor: Tensor) -> Tensor:
    """What this process holds, sharing its memory."""
    return tensor.detach().to_local() if isinstance(tensor, DTensor) else tensor.detach()


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """The part of ``whole``, which every process has, that belongs beside ``like``; ``whole`` where ``like`` is."""
    if not isinstance(like, DTensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor on its device. Every process has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered_on_first(tensor: Tensor) -> Tensor:
    """The whole of a tensor, where it has parts on the CPU of the first process and (0,) elsewhere. Every process has
    to ask."""
    if not isinstance(tensor, DTensor):
        return tensor
    whole = gathered(tensor.detach())
    return whole.cpu() if dist.get_rank() == 0 else whole.new_empty(0)
