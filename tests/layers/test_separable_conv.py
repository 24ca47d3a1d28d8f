import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pantile.contracts.precision import autocast_off
from pantile.layers.aspp import ASPP
from pantile.layers.separable_conv import SeparableConv


@pytest.mark.parametrize("middle_norm", [True, False])
def test_separable_conv_against_its_formula(middle_norm):
    torch.manual_seed(0)
    block = SeparableConv(3, 5, 3, dilation=2, middle_norm=middle_norm).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.weight)
    x = torch.randn(2, 3, 7, 6)
    y = torch.stack(
        [
            F.conv2d(x[:, c : c + 1], block.depthwise.conv.weight[c : c + 1], padding=2, dilation=2)[:, 0]
            for c in range(3)
        ],
        dim=1,
    )
    if middle_norm:
        y = block.depthwise.norm(y).clamp(min=0)
    y = torch.einsum("oc,bchw->bohw", block.pointwise.conv.weight[..., 0, 0], y)
    torch.testing.assert_close(block(x), block.pointwise.norm(y).clamp(min=0))


def test_parameters_of_a_separable_conv():
    counts = [sum(p.numel() for p in SeparableConv(8, 6, 5, middle_norm=m).parameters()) for m in (False, True)]
    assert counts == [8 * 25 + 8 * 6 + 12, 8 * 25 + 8 * 6 + 12 + 16]


def test_aspp_with_other_branches():
    torch.manual_seed(0)
    aspp = ASPP(6, 4, (1, 2), nn.ReLU, atrous=lambda i, o, rate: SeparableConv(i, o, 3, dilation=rate)).eval()
    x = torch.randn(2, 6, 5, 5)
    pooled = aspp.pool(x.mean((2, 3), keepdim=True)).expand(-1, -1, 5, 5)
    expected = aspp.project(torch.cat([aspp.point(x), aspp.atrous[0](x), aspp.atrous[1](x), pooled], dim=1))
    torch.testing.assert_close(aspp(x), expected)
    assert [branch.depthwise.conv.dilation for branch in aspp.atrous] == [(1, 1), (2, 2)]


def test_autocast_off():
    x = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with autocast_off(x.device):
            assert (x @ x).dtype == torch.float32
    with autocast_off(torch.device("meta")):
        assert x.to("meta").is_meta
