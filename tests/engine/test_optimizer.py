"""Which parameters decay and how fast they learn; learning rates of every schedule at chosen steps."""

import pytest
import torch
from torch import nn

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.config import OptimizerConfig
from pantile.engine.optimizer import learning_rate_factor, make_optimizer, parameter_groups
from pantile.models import (
    create_model,
    deeplabv3_nano_config,
    kmax_nano_config,
    mask2former_nano_config,
    segmenter_nano_config,
)
from pantile.recipes import make_recipe
from pantile.techniques import RankSegConfig, TechniquesConfig, build_techniques


def test_groups_hold_every_parameter_once_with_the_right_settings():
    model = create_model(kmax_nano_config(), num_classes=5)
    extra = torch.nn.Conv2d(3, 4, 1)
    groups = parameter_groups(
        model, extra, OptimizerConfig(learning_rate=1.0, backbone_multiplier=0.1, weight_decay=0.5)
    )
    group_of = {id(p): g for g in groups for p in g["params"]}
    assert len(group_of) == sum(len(g["params"]) for g in groups)
    assert len(group_of) == len(list(model.parameters())) + 2
    for name, parameter in model.named_parameters():
        group = group_of[id(parameter)]
        assert group["lr"] == (0.1 if name.startswith("backbone.") else 1.0)
        kernel = parameter.ndim > 1 and "table" not in name and name != "cluster_centers"
        assert (group["weight_decay"] == 0.5) == kernel, name
    assert group_of[id(extra.weight)]["weight_decay"] == 0.5
    assert group_of[id(extra.bias)]["weight_decay"] == 0.0
    assert group_of[id(model.cluster_centers)]["weight_decay"] == 0.0


def decayed(architecture: str, decay_biases: bool) -> set[str]:
    config = make_recipe(f"{architecture}_nano").model
    with torch.device("meta"):
        model = create_model(config, 3, [True, True, False])
    groups = parameter_groups(model, torch.nn.ModuleDict(), OptimizerConfig(decay_biases=decay_biases))
    ids = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    return {name for name, p in model.named_parameters() if id(p) in ids}


@pytest.mark.parametrize(
    ("architecture", "biases", "never"),
    [
        ("mask2former", {"classifier.bias", "mask_embed.0.bias"}, {"query_content", "level_embed"}),
        ("maskformer", {"classifier.bias"}, {"query_position"}),
        ("panoptic_fcn", {"position_head.things.bias", "thing_generator.bias"}, set()),
        ("kmax", {"predictor.classifier.conv.bias"}, {"cluster_centers"}),
        ("panoptic_deeplab", {"semantic_head.predictor.bias"}, set()),
    ],
)
def test_biases_of_kernels_decay_where_asked_and_those_of_norms_never(architecture, biases, never):
    """detectron2 leaves out norms and embeddings alone; deeplab2 and the PyTorch port of kMaX biases, too."""
    without, added = decayed(architecture, False), decayed(architecture, True)
    assert not any(name.endswith("bias") for name in without)
    assert biases <= added - without
    assert not any("norm" in name or name in never for name in added)
    assert {name.removesuffix("bias") + "weight" for name in added - without} <= without


def test_the_level_embedding_of_mask2formers_pixel_decoder_decays():
    """A bare parameter there, which the original's rules do not name."""
    assert "pixel_decoder.level_embed" in decayed("mask2former", False)
    assert "level_embed" not in decayed("mask2former", False)


def test_heads_of_techniques_follow_the_same_rules():
    model = create_model(kmax_nano_config(), num_classes=5)
    head = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    groups = parameter_groups(model, head, OptimizerConfig(weight_decay=0.5, decay_biases=True))
    decay = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert [decay[id(p)] for p in head.parameters()] == [0.5, 0.5, 0.0, 0.0]


def test_a_technique_may_slow_down_its_head():
    """RankSeg's transformer layer and classifier; its projection, norm and tokens are the run's."""
    model = create_model(mask2former_nano_config(), num_classes=5)
    settings = RankSegConfig(channels=64, learning_rate_factor=0.1, decay_factor=100.0)
    techniques = build_techniques(TechniquesConfig(rankseg=settings), model, plain_taxonomy("abcde", things=[]))
    config = OptimizerConfig(learning_rate=1.0, weight_decay=0.5)
    groups = parameter_groups(model, techniques, config)
    assert len({group["name"] for group in groups}) == len(groups)
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    head = techniques["rankseg"].host.ranking.head
    assert rates[id(head.layer.attn.qkv.weight)] == rates[id(head.classifier.weight)] == (0.1, 50.0)
    assert rates[id(head.layer.norm1.weight)] == (0.1, 0.0)
    assert rates[id(head.projection.weight)] == (1.0, 0.5)
    assert rates[id(head.class_embed)] == rates[id(head.norm.weight)] == (1.0, 0.0)
    assert len(rates) == sum(1 for module in (model, techniques) for _ in module.parameters())


def test_poly_is_not_shifted_by_the_warm_up():
    config = OptimizerConfig(schedule="poly", poly_power=0.9, warmup=0.1, warmup_start=0.001)
    assert learning_rate_factor(0, 1000, config) == pytest.approx(0.001)
    assert learning_rate_factor(50, 1000, config) == pytest.approx(0.001 + 0.999 * 0.5)
    assert learning_rate_factor(100, 1000, config) == pytest.approx(0.9**0.9)
    assert learning_rate_factor(500, 1000, config) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(1000, 1000, config) == 0


def test_step_schedule_falls_at_85_and_95_percent():
    config = OptimizerConfig(schedule="step", warmup=0.0)
    values = [learning_rate_factor(step, 100, config) for step in (0, 84, 85, 94, 95, 99)]
    assert values == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_schedules_are_fractions_of_the_run():
    config = OptimizerConfig(schedule="step")
    for step in range(0, 200, 7):
        assert learning_rate_factor(step, 200, config) == pytest.approx(learning_rate_factor(step * 10, 2000, config))


def test_sgd_takes_the_steps_of_its_formula():
    """velocity <- momentum velocity + (gradient + decay weight); weight <- weight - rate velocity"""
    model = create_model(kmax_nano_config(), num_classes=5)
    config = OptimizerConfig(kind="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01, backbone_multiplier=1.0)
    optimizer = make_optimizer(model, torch.nn.ModuleDict(), config)
    weight = next(p for p in model.parameters() if p.ndim == 4)
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for step in range(3):
        weight.grad = torch.full_like(weight, 0.5 + step)
        velocity = 0.9 * velocity + weight.grad + 0.01 * expected
        expected = expected - 0.1 * velocity
        optimizer.step()
    torch.testing.assert_close(weight.detach(), expected)


class TestLayerDecay:
    def test_each_block_is_slower_than_the_next(self):
        """BEiT's own rule: with L blocks, block i has decay ** (L - i), what is before the first decay ** (L + 1)."""
        with torch.device("meta"):
            model = create_model(segmenter_nano_config(), 3)  # six blocks
        config = OptimizerConfig(learning_rate=1.0, backbone_multiplier=1.0, layer_decay=0.5)
        groups = parameter_groups(model, nn.ModuleList(), config)
        rates = {id(p): group["lr"] for group in groups for p in group["params"]}
        for name, parameter in model.named_parameters():
            if name.startswith("backbone.model.blocks."):
                expected = 0.5 ** (6 - int(name.split(".")[3]))
            else:
                expected = 0.5**7 if name.startswith("backbone.") and "model.norm" not in name else 1.0
            assert rates[id(parameter)] == expected, name

    def test_a_backbone_without_blocks_is_told(self):
        with torch.device("meta"):
            model = create_model(deeplabv3_nano_config(), 3)
        with pytest.raises(UserError, match=r"layer_decay is 0\.5, but ResNetBackbone is not a row of blocks"):
            parameter_groups(model, nn.ModuleList(), OptimizerConfig(layer_decay=0.5))
