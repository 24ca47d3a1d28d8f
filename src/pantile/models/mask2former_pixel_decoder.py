"""The pixel decoder of Mask2Former: deformable attention over strides 32, 16 and 8, then one step of a feature
pyramid to stride 4.

    res5, res4, res3 -> 1x1, group norm -> deformable encoder -> memory at 32, 16, 8
    res2 -> 1x1, group norm -> + memory at 8, resized -> 3x3, group norm, ReLU -> pixel feature -> 1x1 -> mask features

It computes in float32 at least, whatever the autocast: sampling positions have no digits to lose.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32, autocast_off
from pantile.layers.deformable_attention import MultiScaleDeformableAttention
from pantile.layers.position_encoding import Sizes, sine_positions
from pantile.layers.transformer import FeedForward

NORM_GROUPS = 32
ENCODED = ("res5", "res4", "res3")


@dataclass(frozen=True)
class DecodedPixels:
    """B images, C channels, maps at strides 32, 16 and 8 as sequences of S = h w pixels.

    Attributes:
        memory: (B, S, C) of each stride.
        positions: (S, C) sine positions of each stride.
        sizes: (h, w) of each stride.
        feature: (B, C, h, w) at stride 4.
        embed: (B, D, h, w) at stride 4, what the queries multiply.
    """

    memory: tuple[Tensor, ...]
    positions: tuple[Tensor, ...]
    sizes: Sizes
    feature: Tensor
    embed: Tensor


class DeformablePixelDecoder(nn.Module):
    """
    Args:
        in_channels: of res2, res3, res4 and res5, by name.
        channels: C, a multiple of 32.
        embed_channels: D.
        num_layers: of the encoder.
        num_heads: of its attention.
        ffn_channels: inner width of its feed-forward parts.
    """

    def __init__(
        self,
        in_channels: dict[str, int],
        channels: int,
        embed_channels: int,
        num_layers: int,
        num_heads: int,
        ffn_channels: int,
    ):
        super().__init__()
        self.input_projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_channels[name], channels, 1), nn.GroupNorm(NORM_GROUPS, channels))
            for name in ENCODED
        )
        self.level_embed = nn.Parameter(torch.randn(len(ENCODED), channels))
        self.encoder = nn.ModuleList(
            DeformableEncoderLayer(channels, num_heads, ffn_channels) for _ in range(num_layers)
        )
        self.lateral = nn.Sequential(
            nn.Conv2d(in_channels["res2"], channels, 1, bias=False), nn.GroupNorm(NORM_GROUPS, channels)
        )
        self.output = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(NORM_GROUPS, channels), nn.ReLU()
        )
        self.mask_features = nn.Conv2d(channels, embed_channels, 1)
        for projection in (self.lateral[0], self.output[0], self.mask_features):
            nn.init.kaiming_uniform_(projection.weight, a=1)
        for projection, _ in self.input_projections:
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)
        nn.init.zeros_(self.mask_features.bias)

    def forward(self, features: dict[str, Tensor]) -> DecodedPixels:
        """features: (B, C', h, w) by name, any float type."""
        with autocast_off(features["res2"].device):
            return self._decode({name: at_least_float32(x) for name, x in features.items()})

    def _decode(self, features: dict[str, Tensor]) -> DecodedPixels:
        maps = [project(features[name]) for project, name in zip(self.input_projections, ENCODED, strict=True)]
        sizes = tuple((x.shape[2], x.shape[3]) for x in maps)
        lengths = [height * width for height, width in sizes]
        x = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)

        positions = sine_positions(sizes, x.shape[2], x.device).to(x.dtype)
        levels = torch.cat([row.expand(length, -1) for row, length in zip(self.level_embed, lengths, strict=True)])
        for layer in self.encoder:
            x = layer(x, positions + levels, sizes)
        memory = x.split(lengths, dim=1)

        stride_8 = memory[-1].transpose(1, 2).unflatten(2, sizes[-1])
        lateral = self.lateral(features["res2"])
        feature = self.output(lateral + F.interpolate(stride_8, lateral.shape[2:], mode="bilinear"))
        return DecodedPixels(memory, positions.split(lengths), sizes, feature, self.mask_features(feature))


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward part, each followed by sum and layer norm."""

    def __init__(self, channels: int, num_heads: int, ffn_channels: int):
        super().__init__()
        self.attention = MultiScaleDeformableAttention(channels, num_heads, num_levels=len(ENCODED))
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_channels)
        self.ffn_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, positions: Tensor, sizes: Sizes) -> Tensor:
        """x (B, S, C), positions (S, C)."""
        x = self.attention_norm(x + self.attention(x + positions, x, sizes))
        return self.ffn_norm(x + self.ffn(x))
