"""Switchable atrous convolution against its formula, pixel by pixel where the border matters."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pantile.layers.switchable_atrous import GlobalContext, SwitchableAtrousConv2d


def randomised(*args, **options) -> SwitchableAtrousConv2d:
    torch.manual_seed(0)
    layer = SwitchableAtrousConv2d(*args, **options).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def naive_context(context: GlobalContext, x):
    mean = x.flatten(2).mean(2)
    return x + (mean @ context.fc.weight[:, :, 0, 0].T + context.fc.bias)[:, :, None, None]


def naive_switch(layer: SwitchableAtrousConv2d, x):
    """Mean over the pixels of the 5x5 window that exist, then the 1x1 convolution."""
    batch, _, height, width = x.shape
    switch = x.new_zeros(batch, 1, height, width)
    for i in range(height):
        for j in range(width):
            window = x[:, :, max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3]
            switch[:, 0, i, j] = window.mean((2, 3)) @ layer.switch.weight[0, :, 0, 0] + layer.switch.bias
    return switch


@pytest.mark.parametrize(("rate", "stride"), [(1, 1), (2, 1), (4, 1), (1, 2)])
def test_two_convolutions_and_a_switch(rate, stride):
    layer = randomised(3, 5, rate=rate, stride=stride)
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    inner = naive_context(layer.pre_context, x)
    switch = naive_switch(layer, inner)[:, :, ::stride, ::stride]
    kernel = layer.conv.weight
    small = F.conv2d(F.pad(inner, [rate] * 4), kernel, dilation=rate, stride=stride)
    large = F.conv2d(F.pad(inner, [3 * rate] * 4), kernel, dilation=3 * rate, stride=stride)
    expected = naive_context(layer.post_context, (1 - switch) * small + switch * large)
    torch.testing.assert_close(layer(x), expected)


def test_a_new_layer_is_the_plain_convolution():
    torch.manual_seed(0)
    layer = SwitchableAtrousConv2d(4, 6, rate=2)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.conv.weight, padding=2, dilation=2))


def test_kernel_has_variance_two_over_fan_in():
    torch.manual_seed(0)
    kernel = SwitchableAtrousConv2d(64, 96).conv.weight
    assert kernel.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


def test_parameters_beyond_the_plain_convolution():
    """1,312,769 per block of conv6 at w2 = 1."""
    with torch.device("meta"):
        layer = SwitchableAtrousConv2d(512, 1024)
    assert sum(p.numel() for p in layer.parameters()) - 512 * 1024 * 9 == 1_312_769


def test_gradient_reaches_every_parameter_of_a_new_layer():
    torch.manual_seed(0)
    layer = SwitchableAtrousConv2d(3, 4)
    layer(torch.randn(2, 3, 7, 7)).square().sum().backward()
    assert [name for name, p in layer.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
