"""The blocks of MaX-DeepLab against recordings of the original, in double precision, with gradients."""

from functools import partial

import pytest
from torch import nn

from max_recordings import assert_case
from pantile.convert.deeplab2_names import tensorflow_names
from pantile.layers.axial_attention import AxialAttention2D
from pantile.layers.dual_path import DualPathLayer
from pantile.layers.residual_block import axial_block, basic_block, bottleneck_block
from pantile.layers.resized_fuse import ResizedFuse

relu = partial(dict, act=nn.ReLU)


@pytest.mark.parametrize("stride", [1, 2])
def test_axial_attention(stride):
    def names(module):
        return {
            f"{axis}_axis.{ours}": theirs
            for axis in ("height", "width")
            for ours, theirs in tensorflow_names(module.get_submodule(f"{axis}_axis"), f"{axis}_axis")
        }

    assert_case("axial_attention", f"axial_attention_stride{stride}", lambda: AxialAttention2D(16, 8, 2, stride), names)


@pytest.mark.parametrize(
    ("case", "channels", "stride"),
    [
        ("stride1_identity", (32, 32), 1),
        ("stride2_project", (24, 32), 2),
        ("stride2_subsample", (32, 32), 2),
        ("wide", (16, 16), 1),
    ],
)
def test_axial_block(case, channels, stride):
    make = partial(axial_block, *channels, 8, 2, stride=stride, act=nn.ReLU)
    assert_case("axial_block", f"axial_block_{case}", make, drop={"drop_path": "mask"})


@pytest.mark.parametrize(
    ("case", "make"),
    [
        ("bottleneck_stride1", partial(bottleneck_block, 24, 24)),
        ("bottleneck_stride2", partial(bottleneck_block, 10, 24, stride=2)),
        ("bottleneck_atrous2", partial(bottleneck_block, 24, 24, dilation=2)),
        ("basic_stride1", partial(basic_block, 12, 12)),
        ("basic_stride2", partial(basic_block, 8, 12, stride=2)),
        ("basic_atrous_1_then_2", partial(basic_block, 8, 12, dilation=2)),
    ],
)
def test_conv_block(case, make):
    assert_case("conv_block", case, partial(make, act=nn.ReLU), drop={"drop_path": "mask"})


@pytest.mark.parametrize(
    ("case", "sizes"), [("dual_path_a", (20, 12, 32, 4, 24)), ("dual_path_b", (10, 14, 16, 2, 16))]
)
def test_dual_path(case, sizes):
    masks = {"drop_pixels": "mask_pixel", "drop_memory": "mask_memory_attention", "drop_ffn": "mask_memory_ffn"}

    def run(layer, inputs):
        result = layer(inputs["pixel"], inputs["memory"])
        return [result.pixels, result.memory]

    assert_case("dual_path", case, lambda: DualPathLayer(*sizes), drop=masks, run=run)


@pytest.mark.parametrize(
    ("case", "channels", "finer", "size"),
    [
        ("fuse_up", [32, 16], [False, False], (9, 13)),
        ("fuse_up_two_laterals", [32, 8, 16], [False] * 3, (9, 13)),
        ("fuse_down", [16, 32, 24], [True, False, False], (5, 7)),
        ("fuse_raw_resize", [16, 16], [False, False], (9, 13)),
    ],
)
def test_resized_fuse(case, channels, finer, size):
    width = 32 if case == "fuse_down" else 16

    def run(fuse, inputs):
        return [fuse(list(inputs.values()), size)]

    assert_case("resized_fuse", case, lambda: ResizedFuse(channels, finer, width), run=run)
