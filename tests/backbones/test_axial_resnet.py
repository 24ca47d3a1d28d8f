"""Axial-ResNets: published sizes, the recorded stem, where blocks are axial, and weights from files."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from max_recordings import assert_case
from pantile.backbones import AxialResNet, AxialResNetConfig, create_backbone, named_axial_resnet
from pantile.backbones.axial_resnet import _stem, drop_path_rate
from pantile.contracts.errors import UserError
from pantile.convert.deeplab2_names import tensorflow_names
from pantile.layers.axial_attention import AxialAttention2D
from pantile.models import create_model
from pantile.recipes import make_recipe

TINY = AxialResNetConfig(blocks=(1, 2, 2, 2), width=2, stem_width=8, num_heads=2)


@pytest.mark.parametrize(("name", "millions"), [("max_s", 41.34), ("axial_r50", 41.34), ("axial_r104", 81.64)])
def test_published_sizes(name, millions):
    with torch.device("meta"):
        backbone = create_backbone(name)
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    assert backbone.channels == {"res5": 2048, "res4": 1024, "res3": 512, "res2": 256, "stem": 128}


def test_stem_is_the_recorded_one():
    def names(stem):
        paths = ("conv1_bn_act", "conv2_bn_act", "conv3_bn")
        return {
            f"{i}.{ours}": theirs for i, path in enumerate(paths) for ours, theirs in tensorflow_names(stem[i], path)
        }

    assert_case("stem", "stem", lambda: _stem(TINY, 3), names)


@pytest.mark.parametrize("output_stride", [16, 32])
def test_sizes_of_the_maps(output_stride):
    backbone = AxialResNet(TINY, output_stride=output_stride).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 65, 50))
    for name, x in maps.items():
        stride = backbone.strides[name]
        assert x.shape == (1, backbone.channels[name], -(-65 // stride), -(-50 // stride))
        assert x.min() >= 0  # activated


def test_blocks_are_axial_from_stride_16_on():
    backbone = AxialResNet(TINY)
    axial = [[any(isinstance(m, AxialAttention2D) for m in block.modules()) for block in s] for s in backbone.stages]
    assert axial == [[False], [False, False], [False, True], [True, True]]


def test_drop_path_rates():
    """Fact: S is 0, .15, ..., .15, .2, .2 from the first block of res4 on, L begins at stride 4."""
    small, large = (named_axial_resnet(name, drop_path=0.2) for name in ("max_s", "max_l"))
    assert [drop_path_rate(small, s) for s in (2, 4, 8, 16, 32)] == pytest.approx([0, 0, 0, 0.15, 0.2])
    assert [drop_path_rate(large, s) for s in (2, 4, 8, 16, 32)] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_weights_from_a_file(tmp_path, monkeypatch):
    backbone = create_backbone("axial_nano")
    nn.init.normal_(backbone.stages[3][0].reduce.norm.bias)
    save_file({f"backbone.{k}": v for k, v in backbone.state_dict().items()}, tmp_path / "w.safetensors")
    same = create_backbone("axial_nano", weights_file=str(tmp_path / "w.safetensors"), in_channels=4)
    assert same.stem[0].conv.weight.shape[1] == 4
    assert torch.equal(same.stages[3][0].reduce.norm.bias, backbone.stages[3][0].reduce.norm.bias)
    with pytest.raises(UserError, match=r"does not fit this AxialResNet \(stem.0.conv.weight is \(16, 3"):
        create_backbone("max_s", weights_file=str(tmp_path / "w.safetensors"))
    with pytest.raises(UserError, match="no public PyTorch weights of max_s"):
        create_backbone("max_s", pretrained=True)


@pytest.mark.parametrize("recipe", ["kmax_nano", "panoptic_deeplab_nano"])
def test_as_a_backbone_of_other_models(recipe):
    """Of kMaX-DeepLab (MaX-S), and of Panoptic-DeepLab, which makes it Axial-DeepLab."""
    config = replace(make_recipe(recipe).model, backbone="axial_nano", pretrained=False)
    model = create_model(config, 3).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 65, 65)).num_classes == 3
