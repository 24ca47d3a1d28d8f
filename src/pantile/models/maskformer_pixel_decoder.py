"""The pixel decoder of MaskFormer: a feature pyramid, with or without a transformer encoder on its coarsest map."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from pantile.layers.position_encoding import sine_positions
from pantile.layers.transformer import EncoderLayer

NORM_GROUPS = 32
FINER = ("res4", "res3", "res2")


class DecodedPixels(NamedTuple):
    """B images, C channels.

    Attributes:
        memory: (B, C, h, w) at stride 32, what the queries attend to.
        feature: (B, C, h, w) at stride 4.
        embed: (B, D, h, w) at stride 4, what the queries multiply.
    """

    memory: Tensor
    feature: Tensor
    embed: Tensor


class FeaturePyramidDecoder(nn.Module):
    """res5 -> 3x3; then for res4, res3, res2: 1x1, + the coarser map (nearest), 3x3; a last 3x3 gives the embedding.

    Without an encoder the memory is a 1x1 convolution of res5; with one, its output is both the memory and what the
    pyramid starts from.

    Args:
        in_channels: of res2, res3, res4 and res5, by name.
        channels: C, a multiple of 32.
        embed_channels: D.
        encoder_layers: 0 for none.
        num_heads: of the encoder.
        ffn_channels: inner width of the encoder's feed-forward parts.
        dropout: of the encoder.
    """

    def __init__(
        self,
        in_channels: dict[str, int],
        channels: int,
        embed_channels: int,
        encoder_layers: int,
        num_heads: int,
        ffn_channels: int,
        dropout: float,
    ):
        super().__init__()
        self.input_projection = nn.Conv2d(in_channels["res5"], channels, 1)
        self.encoder = nn.ModuleList(
            EncoderLayer(channels, num_heads, ffn_channels, dropout) for _ in range(encoder_layers)
        )
        self.coarsest = _smooth(channels if encoder_layers else in_channels["res5"], channels)
        self.laterals = nn.ModuleList(_lateral(in_channels[name], channels) for name in FINER)
        self.outputs = nn.ModuleList(_smooth(channels, channels) for _ in FINER)
        self.mask_features = nn.Conv2d(channels, embed_channels, 3, padding=1)
        for projection in (self.input_projection, self.mask_features):
            nn.init.kaiming_uniform_(projection.weight, a=1)
            nn.init.zeros_(projection.bias)

    def forward(self, features: dict[str, Tensor]) -> DecodedPixels:
        """features: (B, C', h, w) by name."""
        memory = self._encode(self.input_projection(features["res5"]))
        x = self.coarsest(memory if len(self.encoder) else features["res5"])
        for name, lateral, output in zip(FINER, self.laterals, self.outputs, strict=True):
            fine = lateral(features[name])
            x = output(fine + F.interpolate(x, fine.shape[2:], mode="nearest"))
        return DecodedPixels(memory, x, self.mask_features(x))

    def _encode(self, x: Tensor) -> Tensor:
        if not len(self.encoder):
            return x
        size = (x.shape[2], x.shape[3])
        positions = sine_positions((size,), x.shape[1], x.device)
        x = x.flatten(2).transpose(1, 2)
        for layer in self.encoder:
            x = layer(x, positions)
        return x.transpose(1, 2).unflatten(2, size)


def _lateral(in_channels: int, channels: int) -> nn.Sequential:
    return _with_norm(nn.Conv2d(in_channels, channels, 1, bias=False))


def _smooth(in_channels: int, channels: int) -> nn.Sequential:
    return _with_norm(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)).append(nn.ReLU(inplace=True))


def _with_norm(conv: nn.Conv2d) -> nn.Sequential:
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return nn.Sequential(conv, nn.GroupNorm(NORM_GROUPS, conv.out_channels))
