"""Which ImageNet weights a run starts from is named: in every recipe, at the start of a run and in its config."""

from dataclasses import replace

import pytest
import timm

from pantile.backbones import create_backbone, tagged, timm_bridge, weights_name
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.engine import train as train_module
from pantile.engine.config import RunConfig
from pantile.models import ARCHITECTURES
from pantile.models.backbone_weights import start_of_backbone, with_named_weights
from pantile.recipes import list_recipes, make_recipe

#: made here, so that a family of transformers has a small one; nobody has weights for them
FOR_A_CPU = {"vit_nano_patch8_reg4_dinov2", "swin_nano_patch4_window7_224", "beit_nano_patch16_224"}


def defaults() -> dict[str, object]:
    """One config of each architecture, with nothing set."""
    return {name: type(make_recipe(f"{name}_nano").model)() for name in ARCHITECTURES}


def test_every_timm_name_has_a_tag_that_timm_knows() -> None:
    backbones = {recipe: make_recipe(recipe).model.backbone for recipe in list_recipes()}
    backbones |= {name: model.backbone for name, model in defaults().items()}
    used = {who: weights_name(name) for who, name in backbones.items()}
    known = {*timm.list_pretrained(), *FOR_A_CPU, None}
    assert {who: name for who, name in used.items() if name not in known} == {}
    assert set(used.values()) >= {"resnet50.tv_in1k", "beit_large_patch16_224.in22k_ft_in22k", None}
    assert {tagged(name) for name in backbones.values() if "." in name} <= set(backbones.values())


def test_resnets_of_the_tables_are_torchvisions() -> None:
    names = {make_recipe(recipe).model.backbone for recipe in list_recipes()}
    deep_stems = {"resnet50c.gluon_in1k", "resnet101c.gluon_in1k", "resnet101s.gluon_in1k"}  # torchvision has none
    assert {n for n in names if n.startswith("resnet")} == {"resnet50.tv_in1k", "resnet101.tv_in1k"} | deep_stems


def test_a_name_without_a_tag_is_told_with_the_one_that_is_loaded() -> None:
    untagged = replace(make_recipe("kmax_r50_coco").model, backbone="resnet50")
    expected = f"resnet50.{timm.get_pretrained_cfg('resnet50').tag}"
    assert start_of_backbone(untagged) == f"timm's {expected}"
    assert with_named_weights(untagged).backbone == expected
    for config, start in (
        (replace(untagged, pretrained=False), "random numbers"),
        (replace(untagged, backbone_weights="mine.pth"), "mine.pth"),
        (make_recipe("panoptic_deeplab_wr41_coco").model, "random numbers"),
    ):
        assert with_named_weights(config) == config and start_of_backbone(config) == start


def test_recipes_say_where_they_start() -> None:
    said = {name: start_of_backbone(make_recipe(name).model) for name in ("remax_t_coco", "panoptic_fcn_r50_1x_coco")}
    assert set(said.values()) == {"timm's mobilenetv3_small_100.lamb_in1k", "timm's resnet50.tv_in1k"}


def test_models_info_says_it(capsys) -> None:
    assert main(["models", "info", "maskformer_nano", "--size", "65x65"]) == 0
    assert "the backbone starts from  random numbers" in capsys.readouterr().out


def test_a_run_says_it_before_anything_is_loaded_and_writes_it_down(
    tiny_config, tiny_scenes, tmp_path, monkeypatch, capsys
) -> None:
    class Built(Exception):
        pass

    def build(config: RunConfig, taxonomy: Taxonomy, filled: bool) -> None:
        raise Built(config.model.backbone)

    monkeypatch.setattr(train_module, "PanopticTask", build)
    tiny_config.model.backbone, tiny_config.model.pretrained = "test_resnet", True
    with pytest.raises(Built, match=r"^test_resnet\.r160_in1k$"):
        train_module.train(tiny_config, tiny_scenes, tiny_scenes, tmp_path / "run")
    assert "The backbone starts from timm's test_resnet.r160_in1k." in capsys.readouterr().err


def test_an_unknown_tag_is_one_sentence_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no weights 'tv1' of resnet50; it has .*tv_in1k"):
        create_backbone("resnet50.tv1")
    assert timm_bridge.weights_name("no_such_net") == "no_such_net"
