"""Residual blocks that activate at their entry and not at their end (MaX-DeepLab, kMaX-DeepLab).

    a = act(x),    y = shortcut(a) + drop_path(expand(spatial(reduce(a))))

                  reduce          spatial                       expand
    bottleneck    1x1             3x3 (stride, dilation)        1x1
    axial         1x1             axial attention (stride)      1x1
    basic         3x3 (stride)    -                             3x3 (dilation)

Every convolution is followed by batch norm and, but for ``expand``, the activation; ``expand``'s norm starts at zero,
so that a new block passes its shortcut. The shortcut is the activated input, every second pixel of it where the block
has a stride, or a strided 1x1 convolution with batch norm where the channels change. Whoever reads y activates it.
"""

from collections.abc import Callable
from functools import partial

from timm.layers import DropPath
from torch import Tensor, nn

from pantile.layers.axial_attention import AxialAttention2D
from pantile.layers.conv import ConvNorm

Activation = Callable[[], nn.Module]


class ResidualBlock(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)); see the head of this file.

    Args:
        in_channels: of x.
        out_channels: of the result.
        reduce, spatial, expand: the branch.
        stride: of the branch, for the shortcut to follow.
        act: makes the activation at the entry.
        drop_path: probability of leaving the branch out in training, per image.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        reduce: nn.Module,
        spatial: nn.Module,
        expand: nn.Module,
        *,
        stride: int = 1,
        act: Activation = nn.GELU,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.act = act()
        self.reduce, self.spatial, self.expand = reduce, spatial, expand
        self.shortcut: nn.Module = EveryNth(stride)
        if in_channels != out_channels:
            self.shortcut = ConvNorm(in_channels, out_channels, stride=stride, act=None)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(x)
        return self.shortcut(x) + self.drop_path(self.expand(self.spatial(self.reduce(x))))


class EveryNth(nn.Module):
    """(B, C, H, W) -> every n-th row and column."""

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return x if self.n == 1 else x[:, :, :: self.n, :: self.n]


def bottleneck_block(
    in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1, act: Activation = nn.GELU, **options
) -> ResidualBlock:
    """``out_channels`` / 4 inside. ``options``: drop_path."""
    width = out_channels // 4
    return ResidualBlock(
        in_channels,
        out_channels,
        ConvNorm(in_channels, width, act=act),
        ConvNorm(width, width, 3, stride=stride, dilation=dilation, act=act),
        ConvNorm(width, out_channels, act=None, norm_init=0.0),
        stride=stride,
        act=act,
        **options,
    )


def axial_block(
    in_channels: int,
    out_channels: int,
    key_channels: int,
    num_heads: int,
    *,
    stride: int = 1,
    act: Activation = nn.GELU,
    **options,
) -> ResidualBlock:
    """2 * ``key_channels`` inside, which is the width of the values, too. ``options``: drop_path."""
    width = 2 * key_channels
    return ResidualBlock(
        in_channels,
        out_channels,
        ConvNorm(in_channels, width, act=act),
        nn.Sequential(AxialAttention2D(width, key_channels, num_heads, stride), act()),
        ConvNorm(width, out_channels, act=None, norm_init=0.0),
        stride=stride,
        act=act,
        **options,
    )


def basic_block(
    in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1, act: Activation = nn.GELU, **options
) -> ResidualBlock:
    """``options``: drop_path."""
    conv = partial(ConvNorm, out_channels=out_channels, kernel_size=3)
    return ResidualBlock(
        in_channels,
        out_channels,
        conv(in_channels, stride=stride, act=act),
        nn.Identity(),
        conv(out_channels, dilation=dilation, act=None, norm_init=0.0),
        stride=stride,
        act=act,
        **options,
    )
