import math

import pytest
import torch
from torch import nn

from pantile.layers.aspp import ASPP
from pantile.layers.conv import ChannelLayerNorm, ConvNorm, set_batch_norm
from pantile.layers.resize import resize


def test_conv_norm_order_and_padding():
    torch.manual_seed(0)
    block = ConvNorm(3, 4, 3, dilation=2).eval()
    nn.init.uniform_(block.norm.running_mean)
    x = torch.randn(2, 3, 7, 6)
    expected = nn.functional.gelu(block.norm(nn.functional.conv2d(x, block.conv.weight, padding=2, dilation=2)))
    assert block(x).shape == (2, 4, 7, 6)
    torch.testing.assert_close(block(x), expected)


def test_conv_norm_without_parts():
    plain = ConvNorm(3, 4, dims=1, bias=True, norm=False, act=None)
    assert [type(m) for m in plain] == [nn.Conv1d]
    assert (plain.conv.bias == 0).all()


def test_conv_norm_initialisation():
    torch.manual_seed(0)
    full = ConvNorm(64, 256, 3).conv.weight
    assert full.std().item() == pytest.approx(0.8796 * math.sqrt(2 / 64), rel=0.02)
    assert full.abs().max() <= 2 * math.sqrt(2 / 64)
    depthwise = ConvNorm(512, 512, 5, groups=512).conv.weight
    bound = math.sqrt(6 / (25 * 513))  # fans of 25 and 25 * 512
    assert depthwise.abs().max() <= bound
    assert depthwise.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_channel_layer_norm_against_its_formula():
    torch.manual_seed(0)
    norm = ChannelLayerNorm(5)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    x = 3 * torch.randn(2, 5, 4, 3) + 1
    mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    expected = (x - mean) / (var + 1e-6).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_set_batch_norm():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.BatchNorm2d(2)), nn.LayerNorm(2))
    set_batch_norm(model, eps=0.5, momentum=0.25)
    assert (model[0].eps, model[1][0].momentum) == (0.5, 0.25)
    assert model[2].eps == 1e-5


def test_resize_aligns_corners_of_odd_widths():
    odd = torch.arange(3.0).expand(1, 1, 3, 3)
    assert resize(odd, (5, 5))[0, 0, 0].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    even = torch.arange(2.0).expand(1, 1, 2, 2)
    assert resize(even, (4, 4))[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
    assert resize(odd, (3, 3)) is odd


def test_aspp_branches():
    torch.manual_seed(0)
    aspp = ASPP(6, 4, rates=(1, 2)).eval()
    x = torch.randn(2, 6, 5, 5)
    pooled = aspp.pool(x.mean((2, 3), keepdim=True)).expand(-1, -1, 5, 5)
    expected = aspp.project(torch.cat([aspp.point(x), aspp.atrous[0](x), aspp.atrous[1](x), pooled], dim=1))
    torch.testing.assert_close(aspp(x), expected)
    assert [conv.conv.dilation[0] for conv in aspp.atrous] == [1, 2]


def test_aspp_trains_on_one_image():
    torch.manual_seed(0)
    aspp = ASPP(6, 4, rates=(1, 2), dropout=0.0).train()
    aspp(torch.randn(1, 6, 5, 5)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in aspp.parameters())
    mean_before = aspp.pool.norm.running_mean.clone()
    aspp(torch.randn(2, 6, 5, 5))
    assert not torch.equal(mean_before, aspp.pool.norm.running_mean)
