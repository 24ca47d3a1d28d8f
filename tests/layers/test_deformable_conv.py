"""Modulated deformable convolution against an ordinary one and against loops over pixels and taps."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from pantile.layers.deformable_conv import ModulatedDeformableConv, sampled_deform_conv2d


def layer(bias=True, **changes):
    torch.manual_seed(0)
    conv = ModulatedDeformableConv(2, 3, bias=bias, **changes)
    if bias:
        torch.nn.init.normal_(conv.bias)
    return conv


def read(x, row, column):
    """Bilinear, zero outside; x (C, h, w)."""
    height, width = x.shape[1:]
    total = torch.zeros(len(x), dtype=x.dtype)
    top, left = int(torch.floor(row)), int(torch.floor(column))
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < height and 0 <= j < width:
                total = total + x[:, i, j] * (1 - (row - i).abs()) * (1 - (column - j).abs())
    return total


def by_loops(conv, x):
    predicted = conv.offset(x[None])[0]
    out = torch.zeros(3, *x.shape[1:])
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            for tap in range(9):
                row = i + tap // 3 - 1 + predicted[2 * tap, i, j]
                column = j + tap % 3 - 1 + predicted[2 * tap + 1, i, j]
                weight = conv.weight[:, :, tap // 3, tap % 3] * torch.sigmoid(predicted[18 + tap, i, j])
                out[:, i, j] += weight @ read(x, row, column)
    return out + (0 if conv.bias is None else conv.bias[:, None, None])


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_against_loops(bias):
    conv = layer(bias)
    conv.offset.weight.mul_(3)  # moves of a pixel and more
    x = torch.randn(2, 2, 5, 4)
    expected = torch.stack([by_loops(conv, image) for image in x])
    assert conv.offset(x)[:, :18].abs().max() > 1
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_without_moves_and_with_full_weights_it_is_a_convolution():
    conv = layer()
    conv.offset.weight.zero_()
    conv.offset.bias[:18] = 0
    conv.offset.bias[18:] = 30
    x = torch.randn(1, 2, 6, 7)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1))


def test_under_autocast_the_sum_is_in_single_precision_and_learns():
    conv = layer()
    x = torch.randn(1, 2, 6, 7, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, conv(x), atol=0.05, rtol=0.05)
    y.sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in conv.parameters()) and x.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 1, 4)])
def test_sampled_taps_equal_torchvision(shape):
    """Outputs and all gradients, with taps far outside of the map."""
    batch, channels, height, width = shape
    g = torch.Generator().manual_seed(2)
    x = torch.randn(shape, generator=g, dtype=torch.float64)
    offset = 3 * torch.randn(batch, 18, height, width, generator=g, dtype=torch.float64)
    mask = torch.rand(batch, 9, height, width, generator=g, dtype=torch.float64)
    weight = torch.randn(4, channels, 3, 3, generator=g, dtype=torch.float64)
    bias = torch.randn(4, generator=g, dtype=torch.float64)
    given = [t.requires_grad_() for t in (x, offset, weight, bias, mask)]
    ours = sampled_deform_conv2d(*given[:4], (1, 1), mask)
    theirs = deform_conv2d(*given[:4], padding=1, mask=mask)
    torch.testing.assert_close(ours, theirs)
    gradients = (torch.autograd.grad((y * y.detach()).sum(), given) for y in (ours, theirs))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
