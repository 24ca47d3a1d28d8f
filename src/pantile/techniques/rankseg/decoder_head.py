"""2x TranDec: classes query the pixels (Query2Label, arXiv:2107.10834, without attention among classes)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pantile.layers.grouped_linear import GroupedLinear
from pantile.layers.label_queries import LabelQueryLayer
from pantile.layers.position_encoding import sine_positions
from pantile.techniques.rankseg.presence import Presence


class DecoderHead(nn.Module):
    """
    Args:
        num_classes: K.
        in_channels: C of the pixels.
        channels: D of the classes, a multiple of four.
        num_heads: of the attention.
        ffn_channels: inner width of a layer's feed-forward part.
        dropout: of attention weights and of what a layer adds, 0..1.
        pool: makes the pixels fewer.
        learned_classes: queries of its own, in place of the model's class embeddings.
        layers: how many.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        channels: int,
        num_heads: int,
        ffn_channels: int,
        dropout: float,
        pool: Callable[[Tensor], Tensor],
        learned_classes: bool,
        layers: int = 2,
    ):
        super().__init__()
        self.pool = pool
        self.projection = nn.Conv2d(in_channels, channels, 1)
        self.class_embed = nn.Parameter(torch.randn(num_classes, channels)) if learned_classes else None
        self.layers = nn.ModuleList(LabelQueryLayer(channels, num_heads, ffn_channels, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.classifier = GroupedLinear(channels, num_classes)

    def forward(self, feature: Tensor, class_embed: Tensor | None, tokens: Tensor | None) -> Presence:
        """
        Args:
            feature: (B, C, h, w).
            class_embed: (K, D) of the model; None for a head with ``learned_classes``.
            tokens: not read.
        """
        pixels = self.projection(self.pool(feature))
        values = pixels.flatten(2).transpose(1, 2)
        keys = values + sine_positions((tuple(pixels.shape[2:]),), pixels.shape[1], pixels.device).to(values.dtype)
        queries = class_embed if self.class_embed is None else self.class_embed
        content = torch.zeros_like(queries).expand(values.shape[0], -1, -1)
        for layer in self.layers:
            content = layer(content, queries, keys, values)
        return Presence(self.classifier(self.norm(content)))
