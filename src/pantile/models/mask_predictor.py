"""From queries and pixels to classes and masks (MaX-DeepLab, CMT-DeepLab, kMaX-DeepLab)."""

import math
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.precision import at_least_float32
from pantile.layers.conv import ConvNorm


class PredictorConfig(Protocol):
    """Widths."""

    query_channels: int
    embed_channels: int
    depthwise_kernel: int


class Predictor(nn.Module):
    """Classes and masks from queries and a pixel map: ``M_n = BN(f . k_n)`` with one channel for all masks.

    The class logits get a constant on no-object in every forward, log(K 0.9 / 0.1), so that a new model believes in
    no object with 0.9.

    Args:
        pixel_channels: of the map that it reads.
        config: has ``query_channels``, ``embed_channels`` and ``depthwise_kernel``.
        num_classes: K.
        act: makes the activation.
        hidden_channels: of ``pixel_feature``; by default the queries' width.
    """

    no_object_prior = 0.9

    def __init__(
        self,
        pixel_channels: int,
        config: PredictorConfig,
        num_classes: int,
        act: Callable[[], nn.Module] = nn.GELU,
        hidden_channels: int | None = None,
    ):
        super().__init__()
        width, embed = config.query_channels, config.embed_channels
        hidden = hidden_channels or width
        self.pixel_hidden = nn.Sequential(
            ConvNorm(pixel_channels, pixel_channels, config.depthwise_kernel, groups=pixel_channels, act=act),
            ConvNorm(pixel_channels, hidden, act=act),
        )
        self.pixel_embed = ConvNorm(hidden, embed, bias=True, act=None, std=0.01)
        self.mask_kernel = ConvNorm(width, embed, dims=1, act=None)
        self.mask_norm = nn.BatchNorm2d(1)
        nn.init.constant_(self.mask_norm.weight, 0.1)
        self.classifier = ConvNorm(width, num_classes + 1, dims=1, bias=True, norm=False, act=None, std=0.01)
        prior = torch.zeros(num_classes + 1, 1)
        prior[-1] = math.log(num_classes * self.no_object_prior / (1 - self.no_object_prior))
        self.register_buffer("class_prior", prior, persistent=False)

    def forward(self, pixels: Tensor, mask_queries: Tensor, class_queries: Tensor) -> MaskOutput:
        """pixels (B, pixel_channels, h, w), queries (B, C, N) each."""
        hidden = self.pixel_hidden(pixels)
        embed = F.normalize(at_least_float32(self.pixel_embed(hidden)), dim=1)
        kernel = self.mask_kernel(mask_queries)
        return MaskOutput(
            class_logits=(self.classifier(class_queries) + self.class_prior).transpose(1, 2),
            mask_logits=self._logits(embed, kernel),
            query_embed=kernel.transpose(1, 2),
            pixel_embed=embed,
            pixel_feature=hidden,
            mask_affine=self._mask_affine() if self.training else None,
        )

    def masks(self, pixels: Tensor, mask_queries: Tensor) -> Tensor:
        """The mask logits alone, (B, N, h, w)."""
        embed = F.normalize(at_least_float32(self.pixel_embed(self.pixel_hidden(pixels))), dim=1)
        return self._logits(embed, self.mask_kernel(mask_queries))

    def _logits(self, embed: Tensor, kernel: Tensor) -> Tensor:
        products = kernel.transpose(1, 2).to(embed.dtype) @ embed.flatten(2)
        return self.mask_norm(at_least_float32(products).unsqueeze(1)).squeeze(1).unflatten(2, embed.shape[2:])

    def _mask_affine(self) -> tuple[Tensor, Tensor]:
        norm = self.mask_norm
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return scale, norm.bias - scale * norm.running_mean
