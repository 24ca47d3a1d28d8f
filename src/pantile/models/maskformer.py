"""MaskFormer: per-pixel classification is not all you need (Cheng et al., NeurIPS 2021, arXiv:2107.06278).

A feature pyramid gives an embedding to every pixel, a DETR decoder gives a class and a mask embedding to every query:

    X <- LN(X + self-attention(X)),  X <- LN(X + attention(X + P, memory + position, memory)),  X <- LN(X + FFN(X))
    class = W LN(X),   M = MLP(LN(X)) . F,   F = mask features at stride 4

    images -> backbone -> feature pyramid --------------------- F -+
                 res5 [-> transformer encoder] -> memory at 32     |
                                                     |             |
    queries X = 0 (position P) ---------------- decoder layers ----+-> MaskOutput

Every layer's queries are predicted from in training; the final layer norm is applied to each of them and to what the
next layer reads only by way of that layer's own norms. Without an encoder this is the model of the semantic tasks and
of all Swin backbones; COCO and ADE20K panoptic with ResNet have six encoder layers. The per-pixel baselines of the
paper are not here.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.layers.frozen_batch_norm import freeze_batch_norms
from pantile.layers.position_encoding import sine_positions
from pantile.layers.transformer import FeedForward, MultiHeadAttention, Perceptron
from pantile.models.base import ARCHITECTURES, PanopticModel
from pantile.models.maskformer_pixel_decoder import NORM_GROUPS, DecodedPixels, FeaturePyramidDecoder


@dataclass
class MaskFormerConfig:
    """Defaults: MaskFormer with ResNet-50 and six encoder layers on COCO panoptic.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name. R101c, with a deep stem, is ``resnet101s``; Swin-T, -S, -B and -L are
            ``swin_tiny_patch4_window7_224``, ``swin_small_patch4_window7_224``, ``swin_base_patch4_window12_384`` and
            ``swin_large_patch4_window12_384``.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1. ResNet 0, Swin 0.3.
        frozen_batch_norm: keep the backbone's batch norms as they were loaded. False where the backbone starts without
            weights.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        num_queries: N.
        channels: width of queries and decoded pixels, a multiple of 32.
        embed_channels: D of ``query_embed`` and ``pixel_embed``.
        num_heads: of every attention.
        encoder_layers: of the transformer encoder on res5; 0 for the plain feature pyramid.
        decoder_layers: of the queries.
        ffn_channels: inner width of the feed-forward parts.
        dropout: of encoder and decoder, 0..1.
    """

    architecture: Literal["maskformer"] = "maskformer"
    backbone: str = "resnet50.tv_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    frozen_batch_norm: bool = True
    in_channels: int = 3
    image_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    image_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    num_queries: int = 100
    channels: int = 256
    embed_channels: int = 256
    num_heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    ffn_channels: int = 2048
    dropout: float = 0.1


def maskformer_nano_config() -> MaskFormerConfig:
    """The same network, small enough to train on two CPU cores."""
    return MaskFormerConfig(
        backbone="test_resnet.r160_in1k",
        frozen_batch_norm=False,
        num_queries=32,
        channels=64,
        embed_channels=64,
        num_heads=4,
        encoder_layers=1,
        decoder_layers=3,
        ffn_channels=256,
        dropout=0.0,
    )


@ARCHITECTURES.register("maskformer")
class MaskFormer(PanopticModel):
    """Mask classification by a DETR decoder.

    Its queries attend to all pixels, so unlike in models with masked or k-means attention there is no assignment
    that a technique could steer.

    Args:
        config: see ``MaskFormerConfig``.
        num_classes: K, things and stuff, without no-object.

    """

    config_class = MaskFormerConfig

    def __init__(self, config: MaskFormerConfig, num_classes: int):
        super().__init__()
        _check(config)
        self.config = config
        self.num_classes = num_classes

        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
        )
        if config.frozen_batch_norm:
            freeze_batch_norms(self.backbone)
        width = config.channels
        self.pixel_decoder = FeaturePyramidDecoder(
            self.backbone.channels,
            width,
            config.embed_channels,
            config.encoder_layers,
            config.num_heads,
            config.ffn_channels,
            config.dropout,
        )
        self.query_position = nn.Parameter(torch.randn(config.num_queries, width))
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.num_heads, config.ffn_channels, config.dropout)
            for _ in range(config.decoder_layers)
        )
        self.query_norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, num_classes + 1)
        self.mask_embed = Perceptron((width, width, width, config.embed_channels))

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts N masks with classes.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: keep what each layer but the last predicts; by default only in training mode.

        Returns:
            ``mask_logits`` at stride 4, for a sigmoid. ``layers`` holds one output per decoder layer but the last,
            also at stride 4.
        """
        keep = self.training if layer_outputs is None else layer_outputs
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        pixels = self.pixel_decoder({name: features[name] for name in ("res2", "res3", "res4", "res5")})
        size = (pixels.memory.shape[2], pixels.memory.shape[3])
        value = pixels.memory.flatten(2).transpose(1, 2)
        key = value + sine_positions((size,), value.shape[2], value.device)

        queries = torch.zeros_like(self.query_position).expand(images.shape[0], -1, -1)
        outputs = []
        for layer in self.layers[:-1]:
            queries = layer(queries, self.query_position, key, value)
            if keep:
                outputs.append(self._predict(queries, pixels))
        queries = self.layers[-1](queries, self.query_position, key, value)
        return replace(self._predict(queries, pixels), layers=tuple(outputs))

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are the classes and one more at the end."""
        return {"classifier.weight", "classifier.bias"}

    def query_embeddings(self) -> dict[str, int]:
        """Names of the tensors that have an entry per query, and along which dimension."""
        return {"query_position": 0}

    @property
    def segment_limit(self) -> int:
        """How many segments it can tell apart in an image."""
        return self.config.num_queries

    @property
    def mask_spec(self) -> MaskSpec:
        """What a technique may know before the first batch."""
        config = self.config
        return MaskSpec(
            num_layers=config.decoder_layers - 1,
            num_queries=config.num_queries,
            num_classes=self.num_classes,
            embed_channels=config.embed_channels,
            feature_channels=config.channels,
        )

    def _predict(self, queries: Tensor, pixels: DecodedPixels) -> MaskOutput:
        normed = self.query_norm(queries)
        embed = self.mask_embed(normed)
        return MaskOutput(
            class_logits=self.classifier(normed),
            mask_logits=(embed @ pixels.embed.flatten(2)).unflatten(2, pixels.embed.shape[2:]),
            query_embed=embed,
            pixel_embed=pixels.embed,
            pixel_feature=pixels.feature,
        )


class DecoderLayer(nn.Module):
    """DETR's: attention among queries, attention to the memory, feed-forward; dropout, sum and norm after each."""

    def __init__(self, channels: int, num_heads: int, ffn_channels: int, dropout: float):
        super().__init__()
        self.self_attention = MultiHeadAttention(channels, num_heads, dropout)
        self.self_norm = nn.LayerNorm(channels)
        self.cross_attention = MultiHeadAttention(channels, num_heads, dropout)
        self.cross_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_channels, dropout)
        self.ffn_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """x (B, N, C), position (N, C), key and value (B, S, C)."""
        placed = x + position
        x = self.self_norm(x + self.dropout(self.self_attention(placed, placed, x)))
        x = self.cross_norm(x + self.dropout(self.cross_attention(x + position, key, value)))
        return self.ffn_norm(x + self.dropout(self.ffn(x)))


def _check(config: MaskFormerConfig) -> None:
    """Raises a UserError where fields do not fit together."""
    if config.decoder_layers < 1:
        raise UserError("model.decoder_layers: the queries need at least one layer.")
    if config.channels % NORM_GROUPS:
        raise UserError(
            f"model.channels: {config.channels} is no multiple of the {NORM_GROUPS} groups of the group norms; "
            "choose one, such as 256."
        )
    if config.channels % config.num_heads:
        raise UserError(
            f"model.channels: {config.channels} channels cannot be split over model.num_heads = {config.num_heads}; "
            "change one of them."
        )
