"""Convolution, normalisation, activation: the brick of the mask transformers, and the layer norm over channels."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_tf_
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32


class ConvNorm(nn.Sequential):
    """``act(BN(conv(x)))`` with "same" padding.

    Args:
        in_channels: channels of x, (B, C, h, w) or, with ``dims=1``, (B, C, N).
        out_channels: channels of the result.
        kernel_size: odd.
        stride: 1, or 2 for every second position.
        dims: 2 for maps, 1 for a set of queries.
        dilation: of the kernel; the padding follows.
        groups: ``in_channels`` makes it depthwise.
        bias: of the convolution.
        norm: False leaves batch normalisation out.
        act: makes the activation, or None.
        norm_init: initial weight of the batch norm; 0 makes a residual branch start as zero.
        std: of the truncated normal that initialises the kernel. Default ``sqrt(2 / in_channels)``, whatever the
            kernel's area, as the PyTorch kMaX-DeepLab has it; depthwise kernels are Glorot-uniform.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        dims: int = 2,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = True,
        act: Callable[[], nn.Module] | None = nn.GELU,
        norm_init: float = 1.0,
        std: float | None = None,
    ):
        super().__init__()
        conv_type, norm_type = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))[dims - 1]
        padding = dilation * (kernel_size // 2)
        self.conv = conv_type(
            in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=bias
        )
        if norm:
            self.norm = norm_type(out_channels)
            nn.init.constant_(self.norm.weight, norm_init)
        if act is not None:
            self.act = act()
            if isinstance(self.act, nn.ReLU):
                self.act.inplace = True  # nothing else reads what it is given, nor does a backward pass
        if groups > 1:
            nn.init.xavier_uniform_(self.conv.weight)
        else:
            trunc_normal_tf_(self.conv.weight, std=math.sqrt(2.0 / in_channels) if std is None else std)
        if bias:
            nn.init.zeros_(self.conv.bias)


def relu_conv(in_channels: int, out_channels: int, kernel_size: int = 1, dilation: int = 1) -> ConvNorm:
    """Convolution, batch norm and ReLU as MMSegmentation's heads have them: He-normal by the fan of the output."""
    std = math.sqrt(2.0 / (out_channels * kernel_size**2))
    return ConvNorm(in_channels, out_channels, kernel_size, dilation=dilation, act=nn.ReLU, std=std)


def on_single_pixels(layer: ConvNorm, x: Tensor) -> Tensor:
    """``layer(x)`` for maps of one pixel, (B, C, 1, 1).

    Batch norm in training needs more than one value per channel: a single image on a single device falls back to the
    running statistics.
    """
    norm = layer.norm
    if not layer.training or x.shape[0] > 1 or not isinstance(norm, nn.BatchNorm2d):  # others sum over processes
        return layer(x)
    y = F.batch_norm(layer.conv(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    return layer.act(y)


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of each pixel of (B, C, h, w); computed in float32, returned in x's dtype."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(at_least_float32(x.permute(0, 2, 3, 1)), self.weight.shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2).to(x.dtype)


def set_batch_norm(model: nn.Module, *, eps: float, momentum: float) -> None:
    """Gives every batch norm of the model the same eps and (torch convention) momentum."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps, module.momentum = eps, momentum
