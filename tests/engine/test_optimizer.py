"""Which parameters decay and how fast they learn; learning rates of every schedule at chosen steps."""

import pytest
import torch
from torch import nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.config import OptimizerConfig, override
from pantile.engine.optimizer import learning_rate_factor, make_optimizer, parameter_groups
from pantile.engine.task import PanopticTask
from pantile.model_check.tensors import pseudo_loss
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

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("resnet18", {"layer4.1.": 1, "layer4.0.downsample": 2, "layer1.0.": 8, "conv1": 9}),  # 2, 2, 2, 2 blocks
            # 2, 2, 6, 2 blocks; ConvNeXt's code: three blocks of the third stage are a layer, other stages are one
            (
                "convnext_atto",
                {
                    "stages.3.": 1,
                    "stages.3.downsample": 1,
                    "stages.2.blocks.5.": 2,
                    "stages.2.blocks.3.": 2,
                    "stages.2.blocks.2.": 3,
                    "stages.2.downsample": 3,
                    "stages.1.": 4,
                    "stages.0.": 5,
                    "stem.": 6,
                },
            ),
            # 1, 1, 2, 1 blocks; SimMIM's code: a downsampling goes with the block before it
            (
                "swin_nano_patch4_window7_224",
                {
                    "layers.3.blocks.0.": 1,
                    "layers.3.downsample": 2,
                    "layers.2.blocks.1.": 2,
                    "layers.2.blocks.0.": 3,
                    "layers.2.downsample": 4,
                    "layers.0.": 5,
                    "patch_embed": 6,
                },
            ),
            ("mobilenetv3_small_100", {"blocks.5.0": 1, "blocks.4.2": 2, "blocks.0.0": 12, "conv_stem": 13}),
            # timm's groups, of features whose names are flattened
            ("regnety_002", {"s4.b7": 1, "s4.b1": 7, "s1.b1": 13, "stem": 14}),
            ("swinv2_cr_tiny_224", {"stages_3.blocks.1": 1, "stages_3.blocks.0": 2, "patch_embed": 13}),
        ],
    )
    def test_of_every_family_as_its_original_counts(self, name, expected):
        with torch.device("meta"):
            backbone = create_backbone(name)
        behind = backbone.layers_behind()
        for part, count in expected.items():
            counts = {n for own, n in behind.items() if own.startswith(f"model.{part}")}
            assert counts == {count}, part

    def test_own_networks_have_it(self):
        with torch.device("meta"):
            axial, wide = create_backbone("axial_nano"), create_backbone("swidernet_0.25_0.5_1")
        behind = axial.layers_behind()  # 1, 1, 2, 1 blocks
        assert (behind["stages.3.0.shortcut.conv.weight"], behind["stem.0.conv.weight"]) == (1, 6)
        behind = wide.layers_behind()  # 3, 3, 6, 3, 3 blocks
        assert (behind["conv6.2.first.0.weight"], behind["conv2.0.first.0.weight"], behind["conv1.0.weight"]) == (
            1,
            18,
            19,
        )

    def test_a_backbone_that_does_not_tell_is_named(self):
        model = create_model(deeplabv3_nano_config(), 3)
        model.backbone = nn.Identity()
        with pytest.raises(UserError, match=r"layer_decay is 0\.5, but Identity does not say which layers"):
            parameter_groups(model, nn.ModuleList(), OptimizerConfig(layer_decay=0.5))


class TestFrozen:
    def task(self, *frozen: str) -> PanopticTask:
        torch.manual_seed(0)
        config = override(make_recipe("kmax_nano"), [f"optimizer.frozen={list(frozen)}"])
        return PanopticTask(config, plain_taxonomy("abc", things=["a"]))

    def test_nothing_of_a_frozen_part_changes_in_a_step(self):
        task = self.task("backbone", "pixel_decoder.stages.0", "cluster_centers").train()
        assert task.model.pixel_decoder.training
        before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
        optimizer = make_optimizer(task.model, task.techniques, OptimizerConfig())
        pseudo_loss(task.model(torch.randn(2, 3, 33, 33))).backward()
        optimizer.step()
        frozen = ("backbone.", "pixel_decoder.stages.0.", "cluster_centers")
        changed = {name for name, tensor in task.model.state_dict().items() if not torch.equal(tensor, before[name])}
        assert [name for name in changed if name.startswith(frozen)] == []
        assert {"predictor.mask_norm.running_mean", "layers.0.pixel_in.conv.weight"} <= changed

    def test_it_stays_so_after_a_validation(self):
        task = self.task("backbone").eval().train()
        assert not task.model.backbone.training
        assert task.model.pixel_decoder.training

    def test_a_wrong_name_is_told_with_the_right_ones(self):
        with pytest.raises(UserError, match=r"optimizer\.frozen: there is no 'backbon'; the model has backbone,"):
            self.task("backbon")
        with pytest.raises(UserError, match=r"there is no 'backbone\.stem'; backbone has model"):
            self.task("backbone.stem")
        with pytest.raises(UserError, match=r"there is no 'cluster_centers\.0'; cluster_centers has no further parts"):
            self.task("cluster_centers.0")

    def test_everything_cannot_be_frozen(self):
        names = [name for name, _ in self.task().model.named_children()]
        with pytest.raises(UserError, match="nothing is left that learns"):
            self.task("cluster_centers", *names)
