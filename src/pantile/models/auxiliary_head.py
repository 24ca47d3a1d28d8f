"""Semantic heads on the backbone's features: an extra loss for training, gone at inference.

``ASPPSemanticHead`` is Panoptic-DeepLab's semantic branch as kMaX-DeepLab uses it on COCO and ADE20K;
``PlainSemanticHead`` is the one for Cityscapes. Both read a dict of backbone features.
"""

import torch
from torch import Tensor, nn

from pantile.layers.aspp import ASPP
from pantile.layers.conv import ConvNorm
from pantile.layers.resize import corners_aligned, resize


class ASPPSemanticHead(nn.Module):
    """res5, res3, res2 -> (B, num_classes + 1, H/4, W/4) logits; the last channel is void.

    res5 alone decides whether the resizes align corners, both of them: as in the PyTorch kMaX-DeepLab.
    """

    def __init__(self, channels: dict[str, int], num_classes: int, width: int = 256, kernel_size: int = 5):
        super().__init__()
        eighth, quarter = width // 4, width // 8
        self.aspp = ASPP(channels["res5"], width)
        self.project_res3 = ConvNorm(channels["res3"], eighth)
        self.fuse_res3 = _separable(width + eighth, width, kernel_size)
        self.project_res2 = ConvNorm(channels["res2"], quarter)
        self.fuse_res2 = _separable(width + quarter, width, kernel_size)
        self.head = _separable(width, width, kernel_size)
        self.classifier = _classifier(width, num_classes + 1)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        x = self.aspp(features["res5"])
        aligned = corners_aligned(x)
        for project, fuse, name in (
            (self.project_res3, self.fuse_res3, "res3"),
            (self.project_res2, self.fuse_res2, "res2"),
        ):
            high = project(features[name])
            x = fuse(torch.cat([resize(x, high.shape[2:], aligned), high], dim=1))
        return self.classifier(self.head(x))


class PlainSemanticHead(nn.Module):
    """res5 -> (B, num_classes, H/32, W/32) logits; no void channel."""

    def __init__(self, channels: dict[str, int], num_classes: int, width: int = 256, kernel_size: int = 5):
        super().__init__()
        self.head = _separable(channels["res5"], width, kernel_size)
        self.classifier = _classifier(width, num_classes)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return self.classifier(self.head(features["res5"]))


def _separable(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(in_channels, in_channels, kernel_size, groups=in_channels),
        ConvNorm(in_channels, out_channels),
    )


def _classifier(in_channels: int, out_channels: int) -> nn.Module:
    return ConvNorm(in_channels, out_channels, bias=True, norm=False, act=None, std=0.01)
