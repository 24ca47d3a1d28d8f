"""Atrous spatial pyramid pooling (DeepLabv3): context of several sizes at one resolution."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pantile.layers.conv import ConvNorm, on_single_pixels


class ASPP(nn.Module):
    """(B, C, h, w) -> (B, out_channels, h, w).

    A 1x1 convolution, a 3x3 convolution per rate and the global average, each ``out_channels`` wide, concatenated
    and projected. In training the global branch normalises over B values per channel, so its batch norm needs more
    than one value: one image on one device falls back to the running statistics there.

    Args:
        in_channels: C.
        out_channels: width of every branch and of the result.
        rates: dilations of the 3x3 branches.
        act: makes the activation.
        dropout: probability, after the projection.
        atrous: makes the branch of a rate from (in_channels, out_channels, rate); default: an ordinary 3x3 convolution.
        project_kernel: size of the projection's kernel (MMSegmentation: 3).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        rates: Sequence[int] = (6, 12, 18),
        act: Callable[[], nn.Module] = nn.GELU,
        dropout: float = 0.1,
        atrous: Callable[[int, int, int], nn.Module] | None = None,
        project_kernel: int = 1,
    ):
        super().__init__()
        if atrous is None:
            atrous = partial(_dense_3x3, act=act)
        self.point = ConvNorm(in_channels, out_channels, act=act)
        self.atrous = nn.ModuleList(atrous(in_channels, out_channels, rate) for rate in rates)
        self.pool = ConvNorm(in_channels, out_channels, act=act)
        self.project = ConvNorm((2 + len(rates)) * out_channels, out_channels, project_kernel, act=act)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        pooled = on_single_pixels(self.pool, x.mean((2, 3), keepdim=True))
        branches = [self.point(x), *(conv(x) for conv in self.atrous), pooled.expand(-1, -1, *x.shape[2:])]
        return self.dropout(self.project(torch.cat(branches, dim=1)))


def _dense_3x3(in_channels: int, out_channels: int, rate: int, act: Callable[[], nn.Module]) -> nn.Module:
    return ConvNorm(in_channels, out_channels, 3, dilation=rate, act=act)
