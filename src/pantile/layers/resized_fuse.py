"""Sum of maps of several strides (MaX-DeepLab's decoder).

A map that has the sum's channels is used as it is, resized if it must be. Any other is activated and passes a 1x1
convolution with batch norm: with stride 2 where it is one step finer than the sum, else resized afterwards.
"""

import torch
from torch import Tensor, nn

from pantile.layers.conv import ConvNorm
from pantile.layers.residual_block import Activation
from pantile.layers.resize import resize


class ResizedFuse(nn.Module):
    """Maps (B, C_i, h_i, w_i) -> (B, out_channels, h, w).

    Args:
        in_channels: C_i.
        finer: per map, whether it has twice the resolution of the sum.
        out_channels: of the sum.
        act: makes the activation.
    """

    def __init__(self, in_channels: list[int], finer: list[bool], out_channels: int, act: Activation = nn.ReLU):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Identity()
            if channels == out_channels
            else nn.Sequential(act(), ConvNorm(channels, out_channels, stride=2 if fine else 1, act=None))
            for channels, fine in zip(in_channels, finer, strict=True)
        )

    def forward(self, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        """``size``: (h, w) of the sum."""
        parts = (resize(branch(x), size, align_corners=True) for branch, x in zip(self.branches, maps, strict=True))
        return torch.stack(list(parts)).sum(0)
