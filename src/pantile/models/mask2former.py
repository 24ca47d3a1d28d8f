"""Mask2Former: masked-attention mask transformer (Cheng et al., CVPR 2022, arXiv:2112.01527).

Queries look at one stride after the other, each only at the pixels of the mask that it has just predicted:

    M = E . F,   E = MLP(LN(X)),   F = mask features at stride 4
    A = where sigmoid(resize(M)) >= 0.5, everywhere if that is nowhere               no gradient
    X <- LN(X + attention(X + P, memory_l + position, memory_l, A)),  X <- LN(X + self-attention(X)),
    X <- LN(X + FFN(X)),   l = 32, 16, 8, 32, ...

    images -> backbone -> pixel decoder -> memory at 32, 16, 8 and F -+
                                                                      |
    queries X (position P) -> prediction, layer, prediction, ..., layer, final prediction -> MaskOutput

Outputs equal those of the original code and of Hugging Face's. Differences in how they come about:

- resizing is linear, so the attention mask is predicted from resized mask features: resize(E . F) = E . resize(F);
- ``level_embed`` and the sine positions are added to the memory once, not in every layer.

The original's settings that no released model uses are left out: pre-norm, dropout, other pixel decoders.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.layers.clip_axes import frames_side_by_side, joined_frames, of_every_frame
from pantile.layers.cosine_linear import CosineLinear
from pantile.layers.frozen_batch_norm import freeze_batch_norms
from pantile.layers.transformer import FeedForward, MultiHeadAttention, Perceptron
from pantile.models.base import ARCHITECTURES, PanopticModel
from pantile.models.mask2former_pixel_decoder import NORM_GROUPS, DecodedPixels, DeformablePixelDecoder

#: after which ``middle_queries`` are taken (RankSeg); fewer layers give their last
LAYERS_BEFORE_MIDDLE = 3


@dataclass
class Mask2FormerConfig:
    """Defaults: Mask2Former with ResNet-50 on COCO.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name. Swin-T, -S, -B and -L are ``swin_tiny_patch4_window7_224``,
            ``swin_small_patch4_window7_224``, ``swin_base_patch4_window12_384`` and ``swin_large_patch4_window12_384``.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1. ResNet 0, Swin 0.3.
        frozen_batch_norm: keep the backbone's batch norms as they were loaded. False on Cityscapes, and wherever the
            backbone starts without weights.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        num_queries: N. 100; Swin-L on COCO and ADE20K panoptic 200.
        channels: width of queries and decoded pixels, a multiple of 32.
        embed_channels: D of ``query_embed`` and ``pixel_embed``.
        num_heads: of every attention.
        encoder_layers: of the pixel decoder.
        encoder_ffn_channels: inner width of their feed-forward parts.
        decoder_layers: that read strides 32, 16, 8 in turn. The original's ``DEC_LAYERS`` is one more.
        decoder_ffn_channels: inner width of their feed-forward parts.
        cosine_classes: class logits are cosines of queries and class vectors, without bias (RankSeg).
    """

    architecture: Literal["mask2former"] = "mask2former"
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
    encoder_ffn_channels: int = 1024
    decoder_layers: int = 9
    decoder_ffn_channels: int = 2048
    cosine_classes: bool = False


def mask2former_nano_config() -> Mask2FormerConfig:
    """The same network, small enough to train on two CPU cores."""
    return Mask2FormerConfig(
        backbone="test_resnet.r160_in1k",
        frozen_batch_norm=False,
        num_queries=32,
        channels=64,
        embed_channels=64,
        num_heads=4,
        encoder_layers=2,
        encoder_ffn_channels=256,
        decoder_layers=3,
        decoder_ffn_channels=256,
    )


@ARCHITECTURES.register("mask2former")
class Mask2Former(PanopticModel):
    """Mask classification by attention within predicted masks.

    Args:
        config: see ``Mask2FormerConfig``.
        num_classes: K, things and stuff, without no-object.

    Attributes:
        steer: None, or a function of (index of the layer, the ``MaskOutput`` predicted before it) that returns
            (B, N, h, w) logits; that layer's attention is then confined by them in place of the predicted mask logits.
            The outputs stay what they are.
        training_only: names of submodules that inference never runs.
    """

    config_class = Mask2FormerConfig

    def __init__(self, config: Mask2FormerConfig, num_classes: int):
        super().__init__()
        _check(config)
        self.config = config
        self.num_classes = num_classes
        self.steer: Callable[[int, MaskOutput], Tensor] | None = None

        self.backbone = self.make_backbone()
        if config.frozen_batch_norm:
            freeze_batch_norms(self.backbone)
        width = config.channels
        self.pixel_decoder = DeformablePixelDecoder(
            self.backbone.channels,
            width,
            config.embed_channels,
            config.encoder_layers,
            config.num_heads,
            config.encoder_ffn_channels,
        )
        self.query_content = nn.Parameter(torch.randn(config.num_queries, width))
        self.query_position = nn.Parameter(torch.randn(config.num_queries, width))
        self.level_embed = nn.Parameter(torch.randn(3, width))
        self.layers = nn.ModuleList(
            MaskedAttentionLayer(width, config.num_heads, config.decoder_ffn_channels)
            for _ in range(config.decoder_layers)
        )
        self.query_norm = nn.LayerNorm(width)
        self.classifier = (CosineLinear if config.cosine_classes else nn.Linear)(width, num_classes + 1)
        self.mask_embed = Perceptron((width, width, width, config.embed_channels))

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        """Predicts N masks with classes.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: keep what is predicted before each layer; by default only in training mode.

        Returns:
            ``mask_logits`` at stride 4, for a sigmoid. ``layers`` holds one output per decoder layer, predicted from
            the queries that enter it, also at stride 4.
        """
        return self.decode(self.extract(images), self.training if layer_outputs is None else layer_outputs)

    def extract(self, images: Tensor) -> dict[str, Tensor]:
        """The backbone's features by name."""
        return self.backbone(images.contiguous(memory_format=torch.channels_last))

    def make_backbone(self) -> nn.Module:
        """Of the config."""
        config = self.config
        return create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
        )

    def decode(self, features: dict[str, Tensor], keep: bool, frames: int = 1) -> MaskOutput:
        """All but the backbone.

        Args:
            features: of B images, by name.
            keep: what is predicted before each layer.
            frames: T; with more than 1, queries look at all frames of their clip.
        """
        pixels = self.pixel_decoder({name: features[name] for name in ("res2", "res3", "res4", "res5")})
        levels = zip(pixels.memory, self.level_embed, strict=True)
        values = [joined_frames(memory + row, frames) for memory, row in levels]
        keys = [value + place for value, place in zip(values, self.key_positions(pixels, frames), strict=True)]
        # resize(E . F) = E . resize(F)
        coarse_embeds = [
            frames_side_by_side(_resize(pixels.embed.detach(), size).flatten(2), frames) for size in pixels.sizes
        ]

        queries = self.query_content.expand(pixels.embed.shape[0] // frames, -1, -1)
        middle = queries
        outputs = []
        for index, layer in enumerate(self.layers):
            level = index % 3
            normed = self.query_norm(queries)
            embed = self.mask_embed(normed)
            if keep or self.steer is not None:
                outputs.append(self._predict(normed, embed, pixels, frames))
            if self.steer is None:
                logits = embed.detach() @ coarse_embeds[level].to(embed.dtype)
            else:
                steered = _resize(self.steer(index, outputs[-1]).detach(), pixels.sizes[level]).flatten(2)
                logits = frames_side_by_side(steered, frames)
            queries = layer(queries, self.query_position, keys[level], values[level], attention_area(logits))
            if index < LAYERS_BEFORE_MIDDLE:
                middle = queries

        normed = self.query_norm(queries)
        final = self._predict(normed, self.mask_embed(normed), pixels, frames)
        middle = of_every_frame(middle, frames)
        return replace(final, layers=tuple(outputs) if keep else (), middle_queries=middle)

    def key_positions(self, pixels: DecodedPixels, frames: int) -> Sequence[Tensor]:
        """(T S, C) of each stride: what tells queries where a pixel is. ``frames`` is T."""
        return pixels.positions

    def no_weight_decay(self) -> set[str]:
        """As everywhere, but the pixel decoder's level embedding decays: in the original it is a bare parameter, where
        the decoder's is an embedding."""
        return super().no_weight_decay() - {"pixel_decoder.level_embed"}

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are the classes and one more at the end."""
        return {f"classifier.{name}" for name, _ in self.classifier.named_parameters()}

    def query_embeddings(self) -> dict[str, int]:
        """Names of the tensors that have an entry per query, and along which dimension."""
        return {"query_content": 0, "query_position": 0}

    @property
    def segment_limit(self) -> int:
        """How many segments it can tell apart in an image."""
        return self.config.num_queries

    @property
    def mask_spec(self) -> MaskSpec:
        """What a technique may know before the first batch."""
        config = self.config
        return MaskSpec(
            num_layers=config.decoder_layers,
            num_queries=config.num_queries,
            num_classes=self.num_classes,
            embed_channels=config.embed_channels,
            feature_channels=config.channels,
            query_channels=config.channels,
        )

    def _predict(self, normed: Tensor, embed: Tensor, pixels: DecodedPixels, frames: int) -> MaskOutput:
        """The output for queries (B / T, N, C) and their mask embeddings (B / T, N, D)."""
        embed = of_every_frame(embed, frames)
        logits = embed @ pixels.embed.flatten(2).to(embed.dtype)
        return MaskOutput(
            class_logits=of_every_frame(self.classifier(normed), frames),
            mask_logits=logits.unflatten(2, pixels.embed.shape[2:]),
            query_embed=embed,
            pixel_embed=pixels.embed,
            pixel_feature=pixels.feature,
            frames=frames,
        )


class MaskedAttentionLayer(nn.Module):
    """Attention to the pixels of the mask, attention among queries, feed-forward; sum and layer norm after each."""

    def __init__(self, channels: int, num_heads: int, ffn_channels: int):
        super().__init__()
        self.cross_attention = MultiHeadAttention(channels, num_heads)
        self.cross_norm = nn.LayerNorm(channels)
        self.self_attention = MultiHeadAttention(channels, num_heads)
        self.self_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_channels)
        self.ffn_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, position: Tensor, key: Tensor, value: Tensor, area: Tensor) -> Tensor:
        """x (B, N, C), position (N, C), key and value (B, S, C), area (B, N, S) bool: what a query may look at."""
        x = self.cross_norm(x + self.cross_attention(x + position, key, value, area))
        placed = x + position
        x = self.self_norm(x + self.self_attention(placed, placed, x))
        return self.ffn_norm(x + self.ffn(x))


def attention_area(mask_logits: Tensor) -> Tensor:
    """Where a query looks: within its mask, and everywhere if the mask is empty.

    Args:
        mask_logits: (B, N, S).

    Returns:
        (B, N, S) bool, true at one pixel of each row at least.
    """
    inside = mask_logits >= 0
    return inside | ~inside.any(dim=2, keepdim=True)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear")


def _check(config: Mask2FormerConfig) -> None:
    """Raises a UserError where fields do not fit together."""
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
