"""A file of timm's weights as the start of several architectures' backbones, and the images that they expect."""

import logging
from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.checkpoint import load_checkpoint, save_weights
from pantile.engine.config import override
from pantile.engine.evaluate import load_task
from pantile.engine.task import PanopticTask
from pantile.models import create_model
from pantile.recipes import make_recipe

NAME = "test_efficientnet"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A small EfficientNet, classifier included, and its file."""
    torch.manual_seed(0)
    model = timm.create_model(NAME)
    path = tmp_path_factory.mktemp("weights") / "efficientnet.safetensors"
    save_file(model.state_dict(), path)
    return model.state_dict(), str(path)


@pytest.mark.parametrize("architecture", ["mask2former", "maskformer", "kmax", "panoptic_fcn", "upernet"])
def test_every_model_starts_from_the_file(source, architecture, caplog):
    state, path = source
    config = replace(make_recipe(f"{architecture}_nano").model, backbone=NAME, backbone_weights=path)
    own = create_model(config, 3, [True, False, False]).backbone.state_dict()
    expected = {f"model.{name}": tensor for name, tensor in state.items() if f"model.{name}" in own}
    assert len(expected) > 50
    assert [name for name, tensor in expected.items() if not torch.equal(own[name], tensor)] == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]  # of the classifier


def test_a_file_of_another_network_is_told(source, tmp_path):
    state, _ = source
    path = tmp_path / "half.safetensors"
    save_file({name: tensor for name, tensor in state.items() if "blocks.1" not in name}, path)
    config = replace(make_recipe("mask2former_nano").model, backbone=NAME, backbone_weights=str(path))
    with pytest.raises(UserError, match=r"could not load weights of test_efficientnet from .*half\.safetensors"):
        create_model(config, 3)


def test_what_was_trained_from_the_file_does_without_it(source, tmp_path):
    """A checkpoint holds the backbone, and may be on a machine that never had the file."""
    run = override(make_recipe("mask2former_nano"), [f"model.backbone={NAME}", f"model.backbone_weights={source[1]}"])
    taxonomy = Scenes(1).taxonomy
    task = PanopticTask(run, taxonomy)
    state = {name: tensor for name, tensor in task.state_dict().items() if name.startswith("model.")}
    gone = replace(run, model=replace(run.model, backbone_weights=str(tmp_path / "gone.safetensors"), pretrained=True))
    save_weights(tmp_path / "weights.safetensors", state, gone, taxonomy, step=1)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.config.model.backbone_weights.endswith("gone.safetensors")  # told, but not read
    loaded = load_task(checkpoint).model.state_dict()
    same = [name for name in loaded if name.startswith("layers.") and torch.equal(loaded[name], state[f"model.{name}"])]
    assert len(same) > 20
    resumed = PanopticTask(checkpoint.config, taxonomy, filled=True)
    assert resumed.config == gone
    assert resumed.load_state_dict(state, strict=False).unexpected_keys == []


def test_the_real_file(real_data):
    path = real_data / "backbones" / "tf_efficientnet_lite0.safetensors"
    run = override(
        make_recipe("mask2former_nano"), ["model.backbone=tf_efficientnet_lite0", f"model.backbone_weights={path}"]
    )
    assert run.model.image_mean == run.model.image_std == (127.5, 127.5, 127.5)
    backbone = create_model(run.model, 3).eval().backbone
    assert backbone.channels == {"res5": 320, "res4": 112, "res3": 40, "res2": 24}
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 65, 33))
    assert features["res2"].shape == (1, 24, 17, 9)
    assert features["res5"].std() > 0.1


class TestStatistics:
    def test_another_backbone_brings_its_own(self):
        run = override(make_recipe("kmax_r50_coco"), ["model.backbone=resnet50.tv2_in1k"])
        assert run.model.image_mean == (123.675, 116.28, 103.53)
        assert run.model.image_std == (58.395, 57.12, 57.375)

    def test_what_is_set_counts(self):
        run = override(make_recipe("kmax_r50_coco"), ["model.backbone=resnet18", "model.image_mean=[1, 2, 3]"])
        assert run.model.image_mean == (1, 2, 3)
        assert run.model.image_std == (127.5, 127.5, 127.5)

    @pytest.mark.parametrize(
        "change", ["training.steps=7", "model.backbone=axial_r50", "model.backbone=resnet50.tv_in1k"]
    )
    def test_a_recipe_keeps_its_own(self, change):
        run = override(make_recipe("kmax_r50_coco"), [change])
        assert run.model.image_mean == (127.5, 127.5, 127.5)

    def test_other_bands_keep_theirs(self):
        grey = ["model.backbone=resnet18", "model.in_channels=1"]
        recipe = make_recipe("kmax_r50_coco")
        assert override(recipe, grey).model.image_mean == recipe.model.image_mean
