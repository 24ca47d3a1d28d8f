"""1x TranEnc: class and pixel tokens pass one transformer layer, then every class token says whether it is there."""

from collections.abc import Callable

import torch
from timm.layers import trunc_normal_
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from pantile.layers.grouped_linear import GroupedLinear
from pantile.techniques.rankseg.presence import Presence


class EncoderHead(nn.Module):
    """
    Args:
        num_classes: K.
        channels: D of the tokens.
        num_heads: of the attention.
        ffn_channels: inner width of the layer's feed-forward part.
        dropout: of attention weights and of what the layer adds, 0..1.
        pool: makes the pixels fewer before they become tokens.
        projection: of (B, C, h, w) pixels to (B, D, h, w); None reads the model's own tokens.
        learned_classes: class tokens of its own, in place of the model's class embeddings.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int,
        num_heads: int,
        ffn_channels: int,
        dropout: float,
        pool: Callable[[Tensor], Tensor],
        projection: nn.Module | None,
        learned_classes: bool,
    ):
        super().__init__()
        self.pool = pool
        self.projection = projection
        self.class_embed = nn.Parameter(torch.empty(num_classes, channels)) if learned_classes else None
        self.layer = Block(
            channels,
            num_heads,
            mlp_ratio=ffn_channels / channels,
            qkv_bias=True,
            proj_drop=dropout,
            attn_drop=dropout,
            norm_layer=nn.LayerNorm,
        )
        self.norm = nn.LayerNorm(channels)
        self.classifier = GroupedLinear(channels, num_classes)
        if learned_classes:
            trunc_normal_(self.class_embed, std=0.02)
        for module in self.layer.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, feature: Tensor, class_embed: Tensor | None, tokens: Tensor | None) -> Presence:
        """
        Args:
            feature: (B, C, h, w).
            class_embed: (K, D) of the model; None for a head with ``learned_classes``.
            tokens: (B, D, h, w) of the model; None for a head with a ``projection``.
        """
        pixels = self.pool(tokens) if self.projection is None else self.projection(self.pool(feature))
        size = pixels.shape[2:]
        classes = class_embed if self.class_embed is None else self.class_embed
        sequence = pixels.flatten(2).transpose(1, 2)
        sequence = self.layer(torch.cat([sequence, classes.expand(pixels.shape[0], -1, -1)], dim=1))
        pixels, classes = sequence.split([size.numel(), classes.shape[0]], dim=1)
        classes = self.norm(classes)
        refined = None if tokens is None or size != tokens.shape[2:] else pixels.transpose(1, 2).unflatten(2, size)
        return Presence(self.classifier(classes), classes, refined)


class LinearProjection(nn.Linear):
    """(B, C, h, w) -> (B, D, h, w)"""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class SeparableProjection(nn.Sequential):
    """A depthwise and a pointwise 1x1 convolution, each with bias and ReLU; (B, C, h, w) -> (B, D, h, w)"""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(in_channels, in_channels, 1, groups=in_channels),
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 1),
            nn.ReLU(),
        )
