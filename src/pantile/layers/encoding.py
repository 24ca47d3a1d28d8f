"""Context encoding (EncNet, Zhang et al., CVPR 2018, arXiv:1803.08904): what all pixels have in common, as a gate.

    z = 1x1 conv of x,   w_ik = softmax over k of s_k |z_i - d_k|^2,   e_k = sum over pixels i of w_ik (z_i - d_k)
    e = mean over k of ReLU(BN(e_k)),   x' = ReLU(x + x sigmoid(W e))

with code words d_k and scales s_k. As MMSegmentation has it.
"""

import math

import torch
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32, autocast_off
from pantile.layers.conv import relu_conv


class ContextEncoding(nn.Module):
    """
    Args:
        channels: C.
        codes: how many code words.
    """

    def __init__(self, channels: int, codes: int):
        super().__init__()
        self.projection = relu_conv(channels, channels)
        self.codewords = nn.Parameter(torch.empty(codes, channels))
        self.scale = nn.Parameter(torch.empty(codes))
        self.norm = nn.BatchNorm1d(codes)
        self.gate = nn.Linear(channels, channels)
        bound = 1 / math.sqrt(codes * channels)
        nn.init.uniform_(self.codewords, -bound, bound)
        nn.init.uniform_(self.scale, -1, 0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            x: (B, C, h, w).

        Returns:
            (B, C, h, w), gated by what is in the image, and (B, C) that knowledge.
        """
        pixels = self.projection(x).flatten(2).transpose(1, 2)
        with autocast_off(pixels.device):  # distances are differences of large numbers
            codes = self._encode(at_least_float32(pixels))
        encoding = self.norm(codes).relu().mean(dim=1)
        gate = self.gate(encoding).sigmoid()[..., None, None]
        return (x + x * gate).relu(), encoding

    def _encode(self, pixels: Tensor) -> Tensor:
        """(B, N, C) to (B, codes, C), the sums of differences from each code word."""
        words = self.codewords
        squares = (pixels**2).sum(dim=2, keepdim=True) - 2 * pixels @ words.T + (words**2).sum(dim=1)
        weight = (self.scale * squares).softmax(dim=2)  # (B, N, codes)
        return weight.transpose(1, 2) @ pixels - weight.sum(dim=1)[..., None] * words
