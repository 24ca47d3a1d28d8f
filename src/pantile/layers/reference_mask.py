"""Reference masks (CMT-DeepLab): where each cluster centre expects its segment, as a Gaussian of its own place and
extent.

A reading: public descriptions say that every centre predicts a mask of a few parameters which modulates the assignment
and is trained towards the ground truth, not which. Here

    R_n(y, x) = exp(-((y - y_n) / h_n)^2 / 2 - ((x - x_n) / w_n)^2 / 2),    y, x from -1 to 1 over the map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32
from pantile.layers.conv import ConvNorm

_SMALLEST = 0.05  # standard deviation, of half the image


class ReferenceMask(nn.Module):
    """(B, C, N) centres -> (B, N, h, w), the logarithm of each mask, at most 0; float32 at least.

    A new one expects everything near the middle, with a standard deviation of half the image.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.project = ConvNorm(channels, 4, dims=1, bias=True, norm=False, act=None, std=0.01)

    def forward(self, centers: Tensor, size: tuple[int, int]) -> Tensor:
        y, x, height, width = at_least_float32(self.project(centers)).unsqueeze(-1).unbind(1)  # (B, N, 1) each
        down, across = (torch.linspace(-1, 1, n, device=y.device, dtype=y.dtype) for n in size)
        rows = ((down - y.tanh()) / (F.softplus(height + 0.5413) + _SMALLEST)).square()
        columns = ((across - x.tanh()) / (F.softplus(width + 0.5413) + _SMALLEST)).square()
        return -0.5 * (rows[..., :, None] + columns[..., None, :])
