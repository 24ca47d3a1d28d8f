"""Semantic heads on the backbone's features: an extra loss for training, gone at inference.

``ASPPSemanticHead`` is Panoptic-DeepLab's semantic branch as kMaX-DeepLab uses it on COCO and ADE20K;
``PlainSemanticHead`` is the one for Cityscapes. Both read a dict of backbone features.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pantile.layers.aspp import ASPP
from pantile.layers.conv import ConvNorm
from pantile.layers.resize import corners_aligned, resize


class ASPPSemanticHead(nn.Module):
    """res5, res3, res2 -> (B, num_classes + 1, H/4, W/4) logits; the last channel is void.

    Args:
        channels: of the features.
        num_classes: K.
        width: of everything but the projections, which have a quarter and an eighth of it.
        kernel_size: of the depthwise convolutions.
        act: makes the activation.
        rates: of ASPP.
        align_corners: of both resizes; None lets res5 alone decide, as in the PyTorch kMaX-DeepLab.
    """

    def __init__(
        self,
        channels: dict[str, int],
        num_classes: int,
        width: int = 256,
        kernel_size: int = 5,
        act: Callable[[], nn.Module] = nn.GELU,
        rates: Sequence[int] = (6, 12, 18),
        align_corners: bool | None = None,
    ):
        super().__init__()
        eighth, quarter = width // 4, width // 8
        self.align_corners = align_corners
        self.aspp = ASPP(channels["res5"], width, rates, act)
        self.project_res3 = ConvNorm(channels["res3"], eighth, act=act)
        self.fuse_res3 = _separable(width + eighth, width, kernel_size, act)
        self.project_res2 = ConvNorm(channels["res2"], quarter, act=act)
        self.fuse_res2 = _separable(width + quarter, width, kernel_size, act)
        self.head = _separable(width, width, kernel_size, act)
        self.classifier = _classifier(width, num_classes + 1)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        x = self.aspp(features["res5"])
        aligned = corners_aligned(x) if self.align_corners is None else self.align_corners
        for project, fuse, name in (
            (self.project_res3, self.fuse_res3, "res3"),
            (self.project_res2, self.fuse_res2, "res2"),
        ):
            high = project(features[name])
            x = fuse(torch.cat([resize(x, high.shape[2:], aligned), high], dim=1))
        return self.classifier(self.head(x))


class PlainSemanticHead(nn.Module):
    """One of the features -> (B, num_classes, h, w) logits at its resolution; no void channel.

    Args:
        channels: of the features.
        num_classes: channels of the result.
        width, kernel_size, act: as ``ASPPSemanticHead``.
        feature: the one that is read.
    """

    def __init__(
        self,
        channels: dict[str, int],
        num_classes: int,
        width: int = 256,
        kernel_size: int = 5,
        act: Callable[[], nn.Module] = nn.GELU,
        feature: str = "res5",
    ):
        super().__init__()
        self.feature = feature
        self.head = _separable(channels[feature], width, kernel_size, act)
        self.classifier = _classifier(width, num_classes)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return self.classifier(self.head(features[self.feature]))


def _separable(in_channels: int, out_channels: int, kernel_size: int, act: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(in_channels, in_channels, kernel_size, groups=in_channels, act=act),
        ConvNorm(in_channels, out_channels, act=act),
    )


def _classifier(in_channels: int, out_channels: int) -> nn.Module:
    return ConvNorm(in_channels, out_channels, bias=True, norm=False, act=None, std=0.01)
