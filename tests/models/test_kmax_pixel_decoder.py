"""The pixel decoder and the auxiliary heads against their equations written out."""

import math

import pytest
import torch
import torch.nn.functional as F
from model_contract import randomise

from pantile.layers.residual_block import axial_block, bottleneck_block
from pantile.models.auxiliary_head import ASPPSemanticHead, PlainSemanticHead
from pantile.models.kmax_pixel_decoder import Fusion, PixelDecoder

gelu = F.gelu


def prepared(module):
    with torch.no_grad():
        randomise(module)
    return module.eval()


def conv_bn(block, x, **options):
    return block.norm(F.conv2d(x, block.conv.weight, **options))


@pytest.mark.parametrize("in_channels", [16, 6])
@torch.no_grad()
def test_bottleneck(in_channels):
    torch.manual_seed(0)
    block = prepared(bottleneck_block(in_channels, 16))
    x = torch.randn(2, in_channels, 5, 6)
    a = gelu(x)
    branch = gelu(conv_bn(block.reduce, a))
    branch = gelu(conv_bn(block.spatial, branch, padding=1))
    branch = conv_bn(block.expand, branch)
    shortcut = a if in_channels == 16 else conv_bn(block.shortcut, a)
    torch.testing.assert_close(block(x), shortcut + branch)


@torch.no_grad()
def test_axial_block():
    torch.manual_seed(0)
    block = prepared(axial_block(6, 16, 4, 2))
    x = torch.randn(2, 6, 5, 6)
    a = gelu(x)
    inner = gelu(conv_bn(block.reduce, a))
    assert inner.shape[1] == 8
    attention = block.spatial[0]
    branch = conv_bn(block.expand, gelu(attention.width_axis(attention.height_axis(inner))))
    torch.testing.assert_close(block(x), conv_bn(block.shortcut, a) + branch)


@torch.no_grad()
def test_new_blocks_pass_their_shortcut():
    torch.manual_seed(0)
    block = bottleneck_block(16, 16).eval()
    x = torch.randn(1, 16, 3, 3)
    torch.testing.assert_close(block(x), gelu(x))


@pytest.mark.parametrize("high_channels", [5, 4])
@pytest.mark.parametrize(("low_size", "high_size"), [((3, 3), (5, 5)), ((3, 6), (5, 11)), ((6, 3), (11, 6))])
@torch.no_grad()
def test_fusion(high_channels, low_size, high_size):
    """Corners follow from the width of each fusion's own coarse map."""
    torch.manual_seed(0)
    fusion = prepared(Fusion(8, high_channels, 4))
    low, high = torch.randn(1, 8, *low_size), torch.randn(1, high_channels, *high_size)
    aligned = low_size[1] == 3
    coarse = F.interpolate(conv_bn(fusion.low, gelu(low)), size=high_size, mode="bilinear", align_corners=aligned)
    fine = high if high_channels == 4 else conv_bn(fusion.high[1], gelu(high))
    torch.testing.assert_close(fusion(gelu(low), high), coarse + fine)


@torch.no_grad()
def test_decoder_flow():
    torch.manual_seed(0)
    channels, widths = [10, 9, 8, 7], [6, 4, 4, 2]
    decoder = prepared(PixelDecoder(channels, widths, [1, 2, 1, 1], num_heads=2))
    maps = tuple(torch.randn(1, c, 2 ** (i + 1) + 1, 2 ** (i + 1) + 1) for i, c in enumerate(channels))
    normed = [F.layer_norm(m.permute(0, 2, 3, 1), (m.shape[1],), eps=1e-6).permute(0, 3, 1, 2) for m in maps]
    raw = [decoder.stages[0](normed[0])]
    for i in (1, 2, 3):
        raw.append(decoder.stages[i](decoder.fusions[i - 1](gelu(raw[-1]), normed[i])))
    outputs = decoder(maps)
    for i in range(3):
        torch.testing.assert_close(outputs[i], gelu(raw[i]))
    torch.testing.assert_close(outputs[3], raw[3])  # the last one is not activated
    assert [output.shape[1] for output in outputs] == decoder.out_channels == [24, 16, 16, 8]
    assert [len(stage) for stage in decoder.stages] == [1, 2, 1, 1]


@pytest.mark.parametrize(
    "size",
    [
        (65, 129),  # corners meet at every stride
        (161, 161),  # res5 is 6 pixels wide, res3 21: no resize aligns corners
        (225, 289),
        (161, 545),
        (609, 161),
        (96, 160),  # res5 is 5 pixels wide, res3 20: both do
        (160, 96),
        (97, 102),  # res5 4, res3 13
        (200, 120),
        (64, 128),
    ],
)
@torch.no_grad()
def test_aspp_head(size):
    """The width of res5 alone says whether corners are aligned, in both resizes."""
    torch.manual_seed(0)
    head = prepared(ASPPSemanticHead({"res5": 12, "res3": 6, "res2": 5}, 3, width=16)).double()
    height, width = size
    features = {
        name: torch.randn(1, channels, math.ceil(height / stride), math.ceil(width / stride), dtype=torch.float64)
        for name, channels, stride in (("res5", 12, 32), ("res3", 6, 8), ("res2", 5, 4))
    }
    aligned = math.ceil(width / 32) in range(1, 1000, 2)
    x = head.aspp(features["res5"])
    for project, fuse, name in (
        (head.project_res3, head.fuse_res3, "res3"),
        (head.project_res2, head.fuse_res2, "res2"),
    ):
        high = gelu(conv_bn(project, features[name]))
        low = F.interpolate(x, size=high.shape[2:], mode="bilinear", align_corners=aligned)
        x = torch.cat([low, high], dim=1)
        x = gelu(conv_bn(fuse[0], x, padding=2, groups=x.shape[1]))
        x = gelu(conv_bn(fuse[1], x))
    x = gelu(conv_bn(head.head[1], gelu(conv_bn(head.head[0], x, padding=2, groups=16))))
    expected = F.conv2d(x, head.classifier.conv.weight, head.classifier.conv.bias)
    torch.testing.assert_close(head(features), expected)
    assert expected.shape == (1, 4, math.ceil(height / 4), math.ceil(width / 4))


def test_plain_head_has_no_void_channel():
    head = PlainSemanticHead({"res5": 12}, 3, width=16)
    assert head({"res5": torch.randn(2, 12, 3, 5)}).shape == (2, 3, 3, 5)
