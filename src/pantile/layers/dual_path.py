"""Dual-path transformer layer (MaX-DeepLab, Wang et al., CVPR 2021, section 3.3).

A map of pixels and a memory of N vectors tell each other what they hold; pixels among themselves are left to the
residual or axial block before the layer.

    m = act(BN(W mem)),    p = act(BN(W act(pix)))
    mem' = act(mem + drop(BN(W act(BN( softmax(BN_h(q_m . [k_p; k_m])) [v_p; v_m] )))))      pixels and memory, one
    softmax mem'' = act(mem' + drop(FFN(mem')))
    pix' = pix + drop(BN(W act(BN( softmax(BN_h(q_p . k_m)) v_m ))))

Queries, keys and values of both paths come from m and p, the layer's input. BN_h has one channel per head; there is no
1/sqrt(d). pix' is not activated. The last norm of each branch starts at zero.
"""

from typing import NamedTuple

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32
from pantile.layers.conv import ConvNorm
from pantile.layers.residual_block import Activation


class DualPath(NamedTuple):
    """What a layer gives.

    Attributes:
        pixels: (B, C, h, w), not activated.
        memory: (B, M, N), activated.
        attention: (B, N, h, w), the share of each memory vector's softmax that goes to each pixel, mean of the heads;
            None unless asked for. What is left of 1 goes to the memory itself.
    """

    pixels: Tensor
    memory: Tensor
    attention: Tensor | None = None


class DualPathLayer(nn.Module):
    """See the head of this file.

    Args:
        pixel_channels: C.
        memory_channels: M.
        bottleneck: width of m and p and of the values; keys are half as wide.
        num_heads: divides half of ``bottleneck``.
        ffn_channels: inner width of the memory's feed-forward part.
        act: makes the activation.
        drop_path: of each of the three branches, on its own.
    """

    def __init__(
        self,
        pixel_channels: int,
        memory_channels: int,
        bottleneck: int,
        num_heads: int,
        ffn_channels: int,
        act: Activation = nn.ReLU,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.split = (bottleneck // 2, bottleneck // 2, bottleneck)
        std = bottleneck**-0.5
        self.act = act()
        self.memory_in = ConvNorm(memory_channels, bottleneck, dims=1, act=act)
        self.pixel_in = ConvNorm(pixel_channels, bottleneck, dims=1, act=act)
        self.memory_qkv = ConvNorm(bottleneck, 2 * bottleneck, dims=1, act=None, std=std)
        self.pixel_qkv = ConvNorm(bottleneck, 2 * bottleneck, dims=1, act=None, std=std)
        self.memory_attention = NormedAttention(bottleneck, num_heads)
        self.pixel_attention = NormedAttention(bottleneck, num_heads)
        self.memory_out = ConvNorm(bottleneck, memory_channels, dims=1, act=None, norm_init=0.0)
        self.pixel_out = ConvNorm(bottleneck, pixel_channels, dims=1, act=None, norm_init=0.0)
        self.ffn = nn.Sequential(
            ConvNorm(memory_channels, ffn_channels, dims=1, act=act),
            ConvNorm(ffn_channels, memory_channels, dims=1, act=None, norm_init=0.0),
        )
        self.drop_pixels, self.drop_memory, self.drop_ffn = (DropPath(drop_path) for _ in range(3))

    def forward(self, pixels: Tensor, memory: Tensor, attention: bool = False) -> DualPath:
        """
        Args:
            pixels: (B, C, h, w), not activated.
            memory: (B, M, N).
            attention: give the attention to the pixels, too.
        """
        size = pixels.shape[2:]
        mq, mk, mv = self._heads(self.memory_qkv(self.memory_in(memory)))
        pq, pk, pv = self._heads(self.pixel_qkv(self.pixel_in(self.act(pixels).flatten(2))))
        retrieved, weights = self.memory_attention(mq, torch.cat([pk, mk], dim=3), torch.cat([pv, mv], dim=3))
        memory = self.act(memory + self.drop_memory(self.memory_out(self.act(retrieved))))
        memory = self.act(memory + self.drop_ffn(self.ffn(memory)))
        retrieved, _ = self.pixel_attention(pq, mk, mv)
        pixels = pixels + self.drop_pixels(self.pixel_out(self.act(retrieved))).unflatten(2, size)
        to_pixels = weights[..., : size.numel()].mean(1).unflatten(2, size) if attention else None
        return DualPath(pixels, memory, to_pixels)

    def _heads(self, qkv: Tensor) -> list[Tensor]:
        """(B, 2 * bottleneck, L) -> queries, keys and values (B, heads, width of a head, L)."""
        return [part.unflatten(1, (self.num_heads, -1)) for part in qkv.split(self.split, dim=1)]


class NormedAttention(nn.Module):
    """``BN(softmax(BN_h(q . k)) v)``: (B, heads, D, L), (B, heads, D, M), (B, heads, E, M) -> (B, heads * E, L) and the
    weights (B, heads, L, M). The softmax is float32 at least."""

    def __init__(self, value_channels: int, num_heads: int):
        super().__init__()
        self.norm_similarity = nn.BatchNorm2d(num_heads)
        self.norm_retrieved = nn.BatchNorm1d(value_channels)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.norm_similarity(at_least_float32(q.transpose(2, 3) @ k)).softmax(-1)
        retrieved = v @ weights.transpose(2, 3).to(v.dtype)
        return self.norm_retrieved(retrieved.flatten(1, 2)), weights
