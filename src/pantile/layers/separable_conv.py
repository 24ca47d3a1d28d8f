"""Depthwise-separable convolution (Xception, MobileNet): one kernel per channel, then a 1x1 convolution."""

from collections.abc import Callable

from torch import nn

from pantile.layers.conv import ConvNorm


class SeparableConv(nn.Sequential):
    """``act(BN(pointwise(depthwise(x))))`` with "same" padding and stride 1; (B, in, h, w) -> (B, out, h, w).

    Args:
        in_channels: channels of x.
        out_channels: channels of the result.
        kernel_size: of the depthwise part, odd.
        dilation: of the depthwise part; the padding follows.
        middle_norm: batch norm and activation between the two parts as well.
        act: makes the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        middle_norm: bool = True,
        act: Callable[[], nn.Module] = nn.ReLU,
    ):
        super().__init__()
        self.depthwise = ConvNorm(
            in_channels,
            in_channels,
            kernel_size,
            dilation=dilation,
            groups=in_channels,
            norm=middle_norm,
            act=act if middle_norm else None,
        )
        self.pointwise = ConvNorm(in_channels, out_channels, act=act)
