"""Pyramid pooling (PSPNet, arXiv:1612.01105): what a map shows as a whole, in quarters, in ninths, ..."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.layers.conv import on_single_pixels, relu_conv


class PyramidPooling(nn.Module):
    """(B, in_channels, h, w) -> (B, channels, h, w).

    Means over s x s cells, a 1x1 convolution of each, resized and concatenated to the map; a 3x3 convolution of all.

    Args:
        in_channels: of the map.
        channels: of each scale and of the result.
        scales: s.
    """

    def __init__(self, in_channels: int, channels: int, scales: Sequence[int] = (1, 2, 3, 6)):
        super().__init__()
        self.sizes = tuple(scales)
        self.scales = nn.ModuleList(relu_conv(in_channels, channels) for _ in scales)
        self.project = relu_conv(in_channels + len(self.sizes) * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        pooled = [x]
        for cells, conv in zip(self.sizes, self.scales, strict=True):
            means = F.adaptive_avg_pool2d(x, cells)
            y = on_single_pixels(conv, means) if cells == 1 else conv(means)
            pooled.append(F.interpolate(y, size=size, mode="bilinear", align_corners=False))
        return self.project(torch.cat(pooled, dim=1))
