"""Batch normalisation over all processes, on devices where torch's own SyncBatchNorm does not run (CPU with gloo)."""

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor, nn


class ReducedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """The statistics of every process's batch together; otherwise ``BatchNorm``.

    (B, C, ...) of any rank; processes may hold different numbers of elements. Gradients flow through the statistics
    to all processes.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not distributed.is_initialized():
            use_batch = self.training
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, use_batch, self.momentum, self.eps
            )
        reduced = [0, *range(2, x.ndim)]
        wide = x.float()
        count = wide.new_full((1,), x.numel() / x.shape[1])
        total = sum_over_processes(torch.cat([wide.sum(reduced), wide.square().sum(reduced), count]))
        sums, squares, count = total.split([x.shape[1], x.shape[1], 1])
        mean = sums / count
        variance = (squares / count - mean.square()).clamp(min=0.0)
        self._track(mean.detach(), variance.detach() * (count / (count - 1).clamp(min=1.0)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        shape = (1, -1, *([1] * (x.ndim - 2)))
        return (wide * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(x.dtype)

    def _track(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_variance, self.momentum)


def synchronise_batch_norm(module: nn.Module, device_type: str) -> nn.Module:
    """Replaces every batch norm by one over all processes: torch's on GPUs, ``ReducedBatchNorm`` elsewhere."""
    module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    if device_type != "cuda":
        for part in module.modules():
            if type(part) is nn.SyncBatchNorm:
                part.__class__ = ReducedBatchNorm  # the same parameters and buffers, another forward
    return module


def shares_statistics(norm: nn.Module) -> bool:
    """Whether this batch norm's statistics are those of all processes together."""
    return isinstance(norm, nn.SyncBatchNorm | ReducedBatchNorm) and distributed.is_initialized()


def sum_over_processes(x: Tensor) -> Tensor:
    """The sum of every process's x, of one shape; its gradient reaches them all."""
    return _SumOverProcesses.apply(x)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total
