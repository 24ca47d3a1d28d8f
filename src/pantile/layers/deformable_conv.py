"""Modulated deformable convolution (Zhu et al., arXiv:1811.11168): a kernel whose taps move, and are weighed.

    y(p) = sum_k w_k m_k(p) x(p + p_k + d_k(p)),    d (dy, dx) and logit(m) = a convolution of x

x is read bilinearly and is zero outside. On GPUs the sum is torchvision's; on CPUs, where torchvision's backward takes
several times as long, it is a bilinear sampling of all taps and one matrix product (``benchmarks/deformable_conv.py``).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from pantile.contracts.precision import at_least_float32, autocast_off


class ModulatedDeformableConv(nn.Conv2d):
    """Stride 1 and "same" padding; (B, in_channels, h, w) -> (B, out_channels, h, w).

    ``offset`` predicts 3 k^2 channels: (dy, dx) of each tap in the order of the kernel, then the logits of the weights.

    Args:
        in_channels: of x.
        out_channels: of y.
        kernel_size: k, odd.
        bias: of the sum; ``offset`` always has one.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, bias: bool = True):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        if bias:
            nn.init.zeros_(self.bias)
        self.offset = nn.Conv2d(in_channels, 3 * kernel_size**2, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        predicted = at_least_float32(self.offset(x))
        moves = 2 * self.kernel_size[0] * self.kernel_size[1]
        summed = deform_conv2d if x.is_cuda else sampled_deform_conv2d
        with autocast_off(x.device):  # the kernels of torchvision want one dtype, and exact positions
            return summed(
                x.to(predicted.dtype),
                predicted[:, :moves],
                self.weight.to(predicted.dtype),
                None if self.bias is None else self.bias.to(predicted.dtype),
                padding=self.padding,
                mask=torch.sigmoid(predicted[:, moves:]),
            )


def sampled_deform_conv2d(
    x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], mask: Tensor
) -> Tensor:
    """What ``torchvision.ops.deform_conv2d`` computes, for stride 1 and "same" padding.

    Args:
        x: (B, C, h, w).
        offset: (B, 2 T, h, w), (dy, dx) of each of the T taps in the order of the kernel, in pixels.
        weight: (O, C, kh, kw), T = kh kw.
        bias: (O,) or None.
        padding: (kh // 2, kw // 2).
        mask: (B, T, h, w).

    Returns:
        (B, O, h, w)
    """
    (height, width), (kh, kw) = x.shape[2:], weight.shape[2:]
    dy, dx = offset.unflatten(1, (kh * kw, 2)).unbind(2)  # (B, T, h, w)
    ones = {"device": x.device, "dtype": offset.dtype}
    row, column = torch.arange(height, **ones)[:, None], torch.arange(width, **ones)
    tap_row = torch.arange(kh, **ones).sub(padding[0]).repeat_interleave(kw)[:, None, None]
    tap_column = torch.arange(kw, **ones).sub(padding[1]).repeat(kh)[:, None, None]
    # pixel centres to the -1..1 of grid_sample
    grid = torch.stack([(2 * (column + tap_column + dx) + 1) / width, (2 * (row + tap_row + dy) + 1) / height], dim=4)
    read = F.grid_sample(x, grid.flatten(1, 2) - 1, align_corners=False)  # (B, C, T h, w), zeros outside
    read = read.unflatten(2, (kh * kw, height)) * mask[:, None]
    summed = weight.flatten(1) @ read.flatten(1, 2).flatten(2)  # (O, C T) x (B, C T, h w)
    summed = summed.unflatten(2, (height, width))
    return summed if bias is None else summed + bias[:, None, None]
