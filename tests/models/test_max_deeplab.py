"""MaX-DeepLab against published counts and recordings of the original's whole (small) networks."""

import functools
import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_contract import ModelContract, assert_one_graph_that_exports, randomise
from torch import nn

from max_recordings import channels_first, close, cotangent, load, recording
from pantile.backbones import AxialResNet, AxialResNetConfig
from pantile.contracts.errors import UserError
from pantile.convert.maxdeeplab_names import model_names
from pantile.layers.aspp import ASPP
from pantile.layers.conv import ConvNorm
from pantile.layers.dual_path import DualPathLayer
from pantile.models import MaXDeepLabConfig, create_model, max_deeplab_l_config, max_nano_config
from pantile.models.auxiliary_head import _separable

TINY = replace(
    max_nano_config(),
    num_queries=7,
    memory_channels=12,
    bottleneck=16,
    query_channels=16,
    predictor_channels=16,
    embed_channels=8,
    ffn_channels=24,
    num_heads=2,
    auxiliary_channels=16,
)


def tiny_backbone(**options):
    return AxialResNet(
        AxialResNetConfig(**{"blocks": (1, 1, 2, 1), "width": 4, "stem_width": 4, "num_heads": 2} | options),
        output_stride=16,
    )


class TestContract(ModelContract):
    graphs_apart = (
        "tracing it twice takes a quarter of a minute of a core; a layer and kMaX's axial attention are in every run"
    )

    def config(self):
        return TINY

    def model(self, num_classes=None, **changes):
        options = {"in_channels": changes.get("in_channels", 3)}
        torch.manual_seed(0)
        backbone = AxialResNet(
            AxialResNetConfig(blocks=(1, 1, 1, 1), width=4, stem_width=4, num_heads=2), output_stride=16, **options
        )
        config = replace(self.config(), **changes, backbone=backbone)
        return create_model(config, num_classes or self.num_classes)

    def check_shapes(self, output, num_classes, images):
        batch, _, height, width = images.shape
        n, fine = TINY.num_queries, (math.ceil(height / 4), math.ceil(width / 4))
        assert output.class_logits.shape == (batch, n, num_classes + 1)
        assert output.mask_logits.shape == (batch, n, *fine)
        assert output.query_embed.shape == (batch, n, TINY.embed_channels)
        assert output.pixel_embed.shape == (batch, TINY.embed_channels, *fine)
        assert output.pixel_feature.shape == (batch, TINY.query_channels, *fine)
        assert output.layers == () and output.attention == ()
        if output.semantic_logits is not None:
            assert output.semantic_logits.shape == (batch, num_classes + 1, *fine)


def test_a_layer_is_one_graph_and_exports():
    torch.manual_seed(0)
    layer = DualPathLayer(16, 12, 8, 2, 24)
    randomise(layer)
    assert_one_graph_that_exports(layer, torch.randn(1, 16, 5, 4), torch.randn(1, 12, 5))


@pytest.mark.parametrize(
    ("config", "inference", "auxiliary"),
    [(MaXDeepLabConfig(), 61_900_200, 15_856_742), (max_deeplab_l_config(), 450_763_880, 107_398)],
)
def test_published_sizes(config, inference, auxiliary):
    with torch.device("meta"):
        model = create_model(config, 133)
    extra = sum(p.numel() for p in model.auxiliary_head.parameters())
    assert (sum(p.numel() for p in model.parameters()) - extra, extra) == (inference, auxiliary)


def recorded_weights(file):
    """By the rule of the recordings' README."""
    data = recording(file)
    weights = {}
    for name, shape, total in zip(data["weight_names"], data["weight_shapes"], data["weight_sums"], strict=True):
        shape, parts = tuple(int(n) for n in str(shape).split()), str(name).split("/")
        rng = np.random.RandomState(zlib.crc32(str(name).encode()) & 0x7FFFFFFF)
        values = _values(rng, parts[-1], parts, shape).astype(np.float32)
        assert values.sum(dtype=np.float64) == pytest.approx(total, abs=1e-4)
        weights[str(name)] = values
    return weights


def _values(rng, leaf, parts, shape):
    if leaf == "moving_variance":
        values = rng.uniform(0.5, 1.5, shape)
        if "batch_norm_similarity" in parts:
            values = values * (64 if {"height_axis", "width_axis"} & set(parts) else 4)
        return values * (0.1 if any(p.startswith("batch_norm_retrieved") for p in parts) else 1)
    if leaf in ("moving_mean", "beta", "bias"):
        return 0.1 * rng.standard_normal(shape)
    if leaf == "gamma":
        values, last = rng.uniform(0.5, 1.5, shape), ("conv3_bn", "conv2_bn", "memory_conv3_bn", "pixel_conv3_bn")
        if "stem" not in parts and {*last, "memory_ffn_conv2_bn"} & set(parts):
            values = values * 0.2
        if any(p.endswith("resized_fuse") for p in parts):
            values = values * 0.25
        return values * (0.25 if {"batch_norm_qkv", "memory_qkv_conv_bn", "pixel_qkv_conv_bn"} & set(parts) else 1)
    if leaf in ("embeddings", "memory_feature"):
        return rng.standard_normal(shape)
    fan = shape[0] * shape[1] if leaf == "depthwise_kernel" else math.prod(shape[:-1])
    return rng.standard_normal(shape) * math.sqrt(2 / fan)


SHARED = {"num_queries": 6, "memory_channels": 12, "query_channels": 10, "num_heads": 2, "ffn_channels": 20}
SHARED |= {"predictor_channels": 12, "embed_channels": 8, "bottleneck": 32, "auxiliary_channels": 8}
SMALL_S = MaXDeepLabConfig(**SHARED)
STEPS_L = ((32, 1), (8, 1), (4, 1), (8, 1), (32, 1), (8, 1), (4, 1))
SMALL_L = replace(SMALL_S, dual_path_from=16, decoder=STEPS_L, auxiliary_head="decoder")
BLOCKS_L = ((8, 1), (4, 1), (8, 1), (32, 1))


def small_s():
    backbone = tiny_backbone(blocks=(1, 2, 2, 2), width=2, stem_width=8)
    model = create_model(replace(SMALL_S, backbone=backbone), 6)
    head = model.auxiliary_head  # of which the recording has other widths and rates
    head.aspp = ASPP(64, 8, (1, 2, 3), nn.ReLU, dropout=0.0)
    head.project_res3, head.project_res2 = ConvNorm(16, 6, act=nn.ReLU), ConvNorm(8, 4, act=nn.ReLU)
    head.fuse_res3, head.fuse_res2 = _separable(14, 8, 5, nn.ReLU), _separable(12, 8, 5, nn.ReLU)
    return model


def small_l():
    options = {"stem": "wide", "conv_block": "basic", "decoder": BLOCKS_L}
    backbone = tiny_backbone(blocks=(1, 1, 2, 1), width=2, stem_width=8, **options)
    return create_model(replace(SMALL_L, backbone=backbone), 6)


@pytest.mark.parametrize(("name", "make"), [("s", small_s), ("l", small_l)])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_whole_small_networks(name, make, mode):
    data, model = recording(f"tiny_max_deeplab_{name}"), make()
    load(model, model_names(model, f"tiny_{name}"), recorded_weights(f"tiny_max_deeplab_{name}"))
    model.train(mode == "train")
    semantic = []
    model.auxiliary_head.register_forward_hook(lambda _, inputs, output: semantic.append(output))
    if mode == "eval":  # where the model itself leaves the auxiliary head out
        run = functools.partial(nn.Module.train, model)
        run(True)
        for part in model.children():
            part.eval()
    image = channels_first(data["image"]).requires_grad_()
    output = model(image)
    heads = {
        "semantic_logits": semantic[0],
        "pixel_space_normalized_feature": output.pixel_embed,
        "transformer_class_logits": output.class_logits.transpose(1, 2),
        "pixel_space_mask_logits": output.mask_logits,
    }
    total = 0.0
    for head, actual in heads.items():
        expected = data[f"{mode}|head|{head}"]
        close(actual, channels_first(expected))
        total = total + (actual * cotangent(f"tiny_{name}", head, expected)).sum()
    if mode == "eval":
        total.backward()
        close(image.grad, channels_first(data[f"{mode}|grad_input|image"]))


def test_attention_of_every_layer_on_request():
    model = create_model(replace(TINY, backbone=tiny_backbone()), 5).eval()
    with torch.no_grad():
        attention = model(torch.randn(2, 3, 65, 97), layer_outputs=True).attention
    assert [a.shape for a in attention] == [(2, 7, 5, 7)] * 2
    assert all((a >= 0).all() and (a.sum((2, 3)) < 1).all() for a in attention)


def test_another_backbone_is_refused():
    with pytest.raises(UserError, match="between the blocks of an Axial-ResNet, not of resnet18"):
        create_model(replace(TINY, backbone="resnet18"), 3)
