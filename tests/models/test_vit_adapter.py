"""Mask2Former on ViT-Adapter: the contract, published counts, and which parts learn slowly."""

import math
from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract

from pantile.contracts.errors import UserError
from pantile.engine.config import OptimizerConfig
from pantile.engine.optimizer import parameter_groups
from pantile.models import create_model
from pantile.models.vit_adapter import ViTAdapterConfig, vit_adapter_nano_config
from pantile.recipes import make_recipe

TINY = replace(vit_adapter_nano_config(), num_queries=6, encoder_layers=1, image_size=(64, 64))


class TestContract(ModelContract):
    test_compiles_without_a_graph_break = test_exports = None  # Mask2Former's, which takes long

    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 4) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), 6, num_classes + 1)
        assert output.mask_logits.shape == (len(images), 6, *size)


def test_published_parameters():
    """570.74 M at 896; at 640, with smaller tables of positions and half the queries, 568 M."""
    large, small = (make_recipe(f"vit_adapter_l_{size}ade20k_semantic").model for size in ("", "640_"))
    with torch.device("meta"):
        model = create_model(replace(large, pretrained=False), 150)
    count = sum(p.numel() for p in model.parameters())
    assert count == 570_744_407
    assert (large.image_size, small.image_size) == ((896, 896), (640, 640))
    positions = 24 * 16 * ((2 * 56 - 1) ** 2 - (2 * 40 - 1) ** 2)
    queries = 2 * 1024 * (large.num_queries - small.num_queries)
    assert (count - positions - queries) / 1e6 == pytest.approx(568, abs=0.5)


def test_rates_of_the_original():
    """0.9 for each layer behind; queries and heads as before the first of 4 blocks; what is a vector never decays."""
    with torch.device("meta"):
        model = create_model(TINY, 3)
    groups = parameter_groups(
        model,
        torch.nn.Module(),
        OptimizerConfig(learning_rate=1.0, layer_decay=0.9, backbone_multiplier=1.0, weight_decay=0.05),
    )
    rate = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    told = {name: rate[id(p)] for name, p in model.named_parameters()}
    assert len(rate) == len(told)
    for name in ("query_content", "level_embed", "classifier.weight", "backbone.beit.model.cls_token"):
        assert told[name] == (pytest.approx(0.9**5), 0.05)
    assert told["mask_embed.0.bias"] == told["classifier.bias"] == (pytest.approx(0.9**5), 0.0)
    assert told["backbone.beit.tables.3"] == (pytest.approx(0.9), 0.05)
    assert told["backbone.injectors.0.gamma"] == told["query_norm.weight"] == (1.0, 0.0)
    assert told["backbone.level_embed"] == told["pixel_decoder.level_embed"] == (1.0, 0.05)


def test_other_backbones_are_told():
    with torch.device("meta"), pytest.raises(UserError, match="BeitBackbone has no adapter"):
        create_model(ViTAdapterConfig(**vars(TINY) | {"backbone": "beit_nano_patch16_224"}), 3)
