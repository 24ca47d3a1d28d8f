"""Switchable atrous convolution (DetectoRS, Qiao et al., arXiv:2006.02334), as SWideRNet uses it (arXiv:2011.11675,
section 3.1, equation 2): one kernel at two atrous rates, mixed pixel by pixel by a learned switch."""

import torch.nn.functional as F
from timm.layers import variance_scaling_
from torch import Tensor, nn


class SwitchableAtrousConv2d(nn.Module):
    """``post((1 - S) conv(x, W, r) + S conv(x, W, 3 r))`` of ``x <- pre(x)``: (B, C, h, w) -> (B, out_channels, ...).

    ``S`` is a 5x5 average followed by a 1x1 convolution to one channel, without a sigmoid; the average leaves out
    what lies beyond the border. ``pre`` and ``post`` are global contexts, ``x + A mean(x) + a``. No deformable
    offsets, no second kernel for the large rate, no weight standardisation (all in DetectoRS).

    A new layer is the convolution at the small rate: the switch and both contexts start as zero (as in deeplab2),
    the kernel from a truncated normal of variance 2 / fan-in.

    Args:
        in_channels: C.
        out_channels: channels of the result.
        kernel_size: odd.
        stride: of both convolutions; the switch is read at the same pixels.
        rate: r, the small atrous rate.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, *, stride: int = 1, rate: int = 1):
        super().__init__()
        self.pre_context = GlobalContext(in_channels)
        self.switch = nn.Conv2d(in_channels, 1, 1)
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=rate * (kernel_size // 2),
            dilation=rate,
            bias=False,
        )
        self.post_context = GlobalContext(out_channels)
        nn.init.zeros_(self.switch.weight)
        nn.init.zeros_(self.switch.bias)
        variance_scaling_(self.conv.weight, scale=2.0, mode="fan_in", distribution="truncated_normal")

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre_context(x)
        conv = self.conv
        small = conv(x)
        large = F.conv2d(
            x,
            conv.weight,
            stride=conv.stride,
            padding=tuple(3 * p for p in conv.padding),
            dilation=tuple(3 * r for r in conv.dilation),
        )
        return self.post_context(small + self._switch(x) * (large - small))

    def _switch(self, x: Tensor) -> Tensor:
        """(B, 1, h', w'). A mean and a 1x1 convolution commute, so the mean needs to run over one channel only."""
        switch = F.avg_pool2d(self.switch(x), 5, stride=1, padding=2, count_include_pad=False)
        return switch[:, :, :: self.conv.stride[0], :: self.conv.stride[1]]


class GlobalContext(nn.Module):
    """(B, C, h, w) -> the same: adds a linear function, with bias, of the spatial mean; starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc(x.mean((2, 3), keepdim=True))
