"""What a batch norm multiplies and adds, where its input is not there as one tensor."""

import torch
from torch import Tensor, nn

from pantile.layers.sync_batch_norm import shares_statistics, sum_over_processes


def scale_and_shift(norm: nn.Module, sums: Tensor, squares: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``norm(x) = scale * x + shift`` in training; its running statistics move as if it had seen x.

    Args:
        norm: batch norm of C channels; over all processes where ``synchronise_batch_norm`` made it so.
        sums, squares: (C,) float64, of the numbers in each channel and of their squares.
        count: numbers in a channel.

    Returns:
        (C,) twice, in the dtype of the norm's weights; with gradients to ``sums`` and ``squares``.
    """
    totals = torch.cat([sums, squares, sums.new_full((1,), count)])
    if shares_statistics(norm):
        totals = sum_over_processes(totals)
    mean, square, count = totals.split([norm.num_features, norm.num_features, 1])
    mean, square = mean / count, square / count
    variance = (square - mean.square()).clamp(min=0.0)
    with torch.no_grad():
        unbiased = variance * (count / (count - 1).clamp(min=1.0))
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
    return _affine(norm, mean.to(norm.weight.dtype), variance.to(norm.weight.dtype))


def running_scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The same from the running statistics, for inference."""
    return _affine(norm, norm.running_mean, norm.running_var)


def _affine(norm: nn.Module, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale
