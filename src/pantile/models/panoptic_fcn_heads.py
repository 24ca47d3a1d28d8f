"""The parts of Panoptic FCN behind its feature pyramid: high-resolution feature, position head and kernel head."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from pantile.layers.coordinates import with_coordinates
from pantile.layers.deformable_conv import ModulatedDeformableConv

NORM_GROUPS = 32
CONVS = 3  # of every head
PRIOR_LOGIT = -2.19  # of every class at every position when training starts: a probability of 0.1
HEAD_STD = 0.01


def conv_stack(in_channels: int, channels: int, *, deformable: bool = False, norm: bool = True) -> nn.Sequential:
    """Three times [3x3 convolution, group norm, ReLU]; without norms the convolutions have biases instead."""
    kind = ModulatedDeformableConv if deformable else _conv3x3
    stack = nn.Sequential()
    for index in range(CONVS):
        conv = kind(channels if index else in_channels, channels, bias=not norm)
        norms = [nn.GroupNorm(NORM_GROUPS, channels)] if norm else []
        stack.append(nn.Sequential(conv, *norms, nn.ReLU(inplace=True)))
    return stack


class SemanticPyramid(nn.Module):
    """p2 to p5 -> (B, channels, h2, w2), the sum of what each makes of itself (Panoptic FPN, arXiv:1901.02446).

    One [3x3 convolution, group norm, ReLU] for p2; for the others one per doubling, with a bilinear resize to the next
    finer level after each.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.ModuleList(_fan_out_conv(channels) for _ in range(max(level, 1))) for level in range(4)
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        """levels: p2, p3, p4 and p5."""
        total = self.branches[0][0](levels[0])
        for level in range(1, 4):
            x = levels[level]
            for conv, finer in zip(self.branches[level], reversed(levels[:level]), strict=True):
                x = F.interpolate(conv(x), finer.shape[2:], mode="bilinear", align_corners=False)
            total = total + x
        return total


class PositionLogits(NamedTuple):
    """Attributes:
    things: (B, T, h, w)
    stuff: (B, C, h, w)
    """

    things: Tensor
    stuff: Tensor


class PositionHead(nn.Module):
    """Where things have their centres and stuff its regions, on one level of the pyramid.

    Args:
        channels: of the level.
        things: T, maybe 0.
        stuff: C, the channels of regions.
    """

    def __init__(self, channels: int, things: int, stuff: int):
        super().__init__()
        self.hidden = conv_stack(channels, channels, deformable=True)
        self.things = _logits(channels, things) if things else None
        self.stuff = _logits(channels, stuff)

    def forward(self, x: Tensor) -> PositionLogits:
        x = self.hidden(x)
        stuff = self.stuff(x)
        things = stuff[:, :0] if self.things is None else self.things(x)
        return PositionLogits(things, stuff)


class KernelHead(nn.Module):
    """What the kernel of a segment would be at each position of a level; (B, channels, h, w) of the same size."""

    def __init__(self, channels: int):
        super().__init__()
        self.hidden = conv_stack(channels + 2, channels)
        self.out = nn.Conv2d(channels, channels, 3, padding=1)
        _start_small(self.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(with_coordinates(x)))


def kernel_generator(channels: int, embed_channels: int) -> nn.Conv2d:
    """A 1x1 convolution from what the kernel head says to a query embedding."""
    conv = nn.Conv2d(channels, embed_channels, 1)
    _start_small(conv)
    return conv


def _conv3x3(in_channels: int, out_channels: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


def _fan_out_conv(channels: int) -> nn.Sequential:
    conv = _conv3x3(channels, channels, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.GroupNorm(NORM_GROUPS, channels), nn.ReLU(inplace=True))


def _logits(channels: int, out_channels: int) -> nn.Conv2d:
    conv = _conv3x3(channels, out_channels, bias=True)
    _start_small(conv)
    nn.init.constant_(conv.bias, PRIOR_LOGIT)
    return conv


def _start_small(conv: nn.Conv2d) -> None:
    nn.init.normal_(conv.weight, std=HEAD_STD)
    nn.init.zeros_(conv.bias)
