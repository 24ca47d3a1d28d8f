"""Weights that fill too little of a model are refused before anything is written, unless they were asked for."""

from dataclasses import replace

import pytest
import torch

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.checkpoint import Checkpoint, save_weights
from pantile.engine.evaluate import load_task
from pantile.engine.transfer import MIN_SHARE, check_share, transfer
from pantile.models import create_model, kmax_nano_config, mask2former_nano_config, panoptic_fcn_nano_config
from pantile.recipes import make_recipe

CLASSES = plain_taxonomy(["road", "car"], things=["car"])


def model_of(config, taxonomy=CLASSES) -> torch.nn.Module:
    torch.manual_seed(0)
    return create_model(config, len(taxonomy), [c.is_thing for c in taxonomy.classes])


@pytest.fixture(scope="module")
def kmax() -> torch.nn.Module:
    return model_of(kmax_nano_config())


def test_the_share_counts_numbers_not_tensors(kmax):
    state = kmax.state_dict()
    numbers = sum(tensor.numel() for tensor in state.values())
    assert transfer(kmax, CLASSES, dict(state), CLASSES).share == 1
    largest = max(state, key=lambda name: state[name].numel())
    report = transfer(kmax, CLASSES, {name: t for name, t in state.items() if name != largest}, CLASSES)
    assert report.numbers == numbers
    assert report.share == pytest.approx(1 - state[largest].numel() / numbers)


def test_of_a_class_head_and_of_queries_only_what_was_copied_counts(kmax):
    other = plain_taxonomy(["car", "sky", "tree"], things=["car"])
    model = model_of(replace(kmax_nano_config(), num_queries=kmax_nano_config().num_queries + 5), other)
    report = transfer(model, other, kmax.state_dict(), CLASSES)
    own, given = model.state_dict(), kmax.state_dict()
    expected = sum(own[name].numel() for name in report.loaded) + sum(given[name].numel() for name in report.resized)
    expected += sum(2 * own[name][0].numel() for name in report.adapted)  # car, and no-object
    assert report.filled == expected and report.share > MIN_SHARE


@pytest.mark.parametrize("strangers", [("road", "car"), ("a", "b", "c")])
def test_other_classes_are_no_reason_to_refuse(kmax, strangers):
    taxonomy = plain_taxonomy(list(strangers), things=[strangers[-1]])
    model = model_of(kmax_nano_config(), taxonomy)
    check_share(transfer(model, taxonomy, kmax.state_dict(), CLASSES), MIN_SHARE, "file")


@pytest.mark.parametrize(
    "config",
    [
        mask2former_nano_config(),
        panoptic_fcn_nano_config(),
        replace(kmax_nano_config(), backbone="resnet18"),
        make_recipe("panoptic_deeplab_nano").model,
    ],
    ids=["mask2former", "panoptic_fcn", "another backbone", "panoptic_deeplab"],
)
def test_another_network_is_refused_and_taken_when_told(kmax, config):
    report = transfer(model_of(replace(config, pretrained=False)), CLASSES, kmax.state_dict(), CLASSES)
    with pytest.raises(UserError, match=r"^w\.ckpt fills \d+\.\d % of the model .*--init-min-share 0") as error:
        check_share(report, MIN_SHARE, "w.ckpt")
    told = str(error.value).partition("--init-min-share ")[2].split()[0]
    check_share(report, float(told), "w.ckpt")  # the remedy is one


def test_a_backbone_alone_has_to_be_asked_for(kmax):
    state = {name: tensor for name, tensor in kmax.state_dict().items() if name.startswith("backbone.")}
    report = transfer(model_of(kmax_nano_config()), CLASSES, state, CLASSES)
    assert {name.split(".")[0] for name in report.loaded} == {"backbone"} and 0.1 < report.share < MIN_SHARE
    with pytest.raises(UserError, match="init-min-share"):
        check_share(report, MIN_SHARE, "file")


@pytest.fixture
def weights(tmp_path, kmax):
    """A file of ``kmax_nano``."""
    path = tmp_path / "kmax.safetensors"
    state = {f"model.{name}": tensor for name, tensor in kmax.state_dict().items()}
    save_weights(path, state, make_recipe("kmax_nano"), CLASSES, step=1)
    return path


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "fills 0.0 % of the model"),
        (["--init-min-share", "2"], "--init-min-share is 2: give a share from 0 to 1"),
        (["--resume"], "--init starts a new run and --resume continues one"),
    ],
)
def test_train_writes_nothing(weights, tmp_path, capsys, more, told):
    run = tmp_path / "run"
    given = ["train", "panoptic_deeplab_nano", "--data", "scenes:2", "--out", run, "--init", weights, *more]
    given += ["--set", "model.pretrained=false", "training.steps=1", "augment.crop=[65,65]", "evaluation_size=[65,65]"]
    assert main([str(word) for word in given]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("pantile: ") and told in error
    assert not run.exists()


def test_a_share_without_weights_is_refused(capsys):
    assert main(["train", "kmax_nano", "--data", "scenes:2", "--init-min-share", "0"]) == 2
    assert "goes with --init" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["missing", "surplus", "shape"])
def test_a_model_that_is_used_needs_every_tensor(kmax, tmp_path, change):
    """``eval``, ``predict``, ``report`` and ``pantile.load`` take no part of a model."""
    state = {f"model.{name}": tensor for name, tensor in kmax.state_dict().items()}
    first = next(iter(state))
    told = {"missing": "lack 1 tensors", "surplus": "have in surplus 1", "shape": "have in another shape 1"}[change]
    if change == "missing":
        del state[first]
    else:
        state["model.more" if change == "surplus" else first] = torch.zeros(2)
    checkpoint = Checkpoint(tmp_path / "w.safetensors", make_recipe("kmax_nano"), CLASSES, state)
    with pytest.raises(UserError, match=rf"w\.safetensors: its model weights {told}") as error:
        load_task(checkpoint)
    assert "\n" not in str(error.value)
