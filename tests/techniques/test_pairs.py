"""Every pair of architecture and technique that is claimed, trained for one step; and those that are refused."""

from dataclasses import fields, replace
from functools import cache

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.config import RunConfig
from pantile.engine.loaders import training_loader
from pantile.engine.task import PanopticTask
from pantile.models import ARCHITECTURES
from pantile.models.semantic_model import SemanticModel
from pantile.recipes import make_recipe
from pantile.techniques import TECHNIQUES, TechniquesConfig
from tiny_runs import data_for, tiny

#: models with queries and masks
RECIPES = [f"{name}_nano" for name, model in sorted(ARCHITECTURES.items()) if hasattr(model, "mask_spec")]
#: models that classify pixels
PIXEL_RECIPES = [f"{name}_nano" for name, model in sorted(ARCHITECTURES.items()) if issubclass(model, SemanticModel)]
EVERY = {name: tiny(config_class()) for name, config_class in sorted(TECHNIQUES.items())}
#: techniques for each
SMALL = {name: config for name, config in EVERY.items() if "mask_spec" in config.make().needs}
#: widths are those of the hosts' classes
OF_PIXELS = {
    name: replace(config, **({"channels": None} if hasattr(config, "channels") else {}))
    for name, config in EVERY.items()
    if "semantic_spec" in config.make().needs
}
ON = {name: TechniquesConfig(**{name: config}) for name, config in SMALL.items()} | {"all": TechniquesConfig(**SMALL)}
REMASK = SMALL["remask"]


def switched_off(config: object) -> object:
    """The config with the field at 0 that switches the technique off."""
    fractions = [own.name for own in fields(config) if isinstance(getattr(config, own.name), float)]
    candidates = [replace(config, **{name: 0.0}) for name in fractions]
    return next(candidate for candidate in candidates if candidate.make() is None)


def tiny_config(recipe: str, techniques: TechniquesConfig) -> RunConfig:
    config = make_recipe(recipe)
    config.augment.crop = (64, 64)
    config.training.effective_batch, config.training.workers, config.training.precision = 2, 0, "fp32"
    config.criterion = tiny(config.criterion)
    config.techniques = techniques
    return config


@cache
def scenes() -> Scenes:
    return Scenes(4, size=(64, 64), seed=3)


def one_step(config: RunConfig) -> tuple[dict[str, torch.Tensor], PanopticTask]:
    """Losses and the task with its gradients; the model starts from the same weights whatever the techniques."""
    torch.manual_seed(7)
    data = data_for(config, scenes())
    task = PanopticTask(config, data.taxonomy).train()
    images, targets = next(iter(training_loader(data, config)))
    torch.manual_seed(8)
    losses, _ = task.losses(images, targets)
    sum(losses.values()).backward()
    return {name: value.detach() for name, value in losses.items()}, task


@cache
def plain_step(recipe: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Losses and gradients without any technique."""
    losses, task = one_step(tiny_config(recipe, TechniquesConfig()))
    return losses, {name: p.grad for name, p in task.model.named_parameters()}


@pytest.mark.parametrize("techniques", ON)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_is_finite_and_reaches_every_head(recipe, techniques):
    losses, task = one_step(tiny_config(recipe, ON[techniques]))
    assert all(torch.isfinite(value) for value in losses.values()), losses
    for name, parameter in task.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert ("remask_semantic" in losses) == (techniques in ("remask", "all"))
    assert ("intra_batch_empty" in losses) == (techniques in ("intra_batch", "all"))
    if techniques in ("remask", "all"):
        for head in task.techniques["remask"].heads:
            assert all(parameter.grad.any() for parameter in (head.classify.weight, head.aspp.point.conv.weight))


@pytest.mark.parametrize("techniques", ON)
@pytest.mark.parametrize("recipe", RECIPES)
def test_weight_zero_equals_absence_to_the_last_bit(recipe, techniques):
    plain_losses, plain_gradients = plain_step(recipe)
    off = {name: switched_off(config) for name, config in SMALL.items() if techniques in (name, "all")}
    losses, task = one_step(tiny_config(recipe, TechniquesConfig(**off)))
    assert not task.techniques
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in plain_losses.items()}
    for name, parameter in task.model.named_parameters():
        assert torch.equal(parameter.grad, plain_gradients[name]), name


def test_every_technique_is_tried():
    assert EVERY.keys() == SMALL.keys() | OF_PIXELS.keys()


@pytest.mark.parametrize("techniques", [*OF_PIXELS, "all"])
@pytest.mark.parametrize("recipe", PIXEL_RECIPES)
def test_a_step_of_a_pixel_classifier_is_finite_and_without_weight_it_is_the_plain_one(recipe, techniques):
    chosen = {name: config for name, config in OF_PIXELS.items() if techniques in (name, "all")}
    losses, task = one_step(tiny_config(recipe, TechniquesConfig(**chosen)))
    assert all(torch.isfinite(value) for value in losses.values()), losses
    for name, parameter in task.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    plain, _ = plain_step(recipe)
    assert {k: v.item() for k, v in losses.items()} != {k: v.item() for k, v in plain.items()}
    off = TechniquesConfig(**{name: switched_off(config) for name, config in chosen.items()})
    losses, task = one_step(tiny_config(recipe, off))
    assert not task.techniques
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in plain.items()}


#: Panoptic FCN has no class term of queries: a thing's class is where the map of its class says that its centre is
CLASS_TERM = {"panoptic_fcn_nano": "position_things"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_criterion_reads_the_softened_classes(recipe):
    """ReClass changes the class term, and nothing else: neither masks nor the matching see it."""
    plain = plain_step(recipe)[0]
    losses, _ = one_step(tiny_config(recipe, ON["reclass"]))
    assert losses.keys() == plain.keys()
    assert {name for name in plain if losses[name] != plain[name]} == {CLASS_TERM.get(recipe, "class")}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_criterion_reads_the_relaxed_layers(recipe):
    """Against the same heads without relaxing, so that only the masks of the first layer differ."""
    without = replace(REMASK, masking=False)
    relaxed, _ = one_step(tiny_config(recipe, TechniquesConfig(remask=replace(REMASK, identity=False))))
    plain, _ = one_step(tiny_config(recipe, TechniquesConfig(remask=without)))
    assert relaxed["remask_semantic"] == plain["remask_semantic"]
    mask = "mask_things" if recipe == "panoptic_fcn_nano" else "mask"
    assert relaxed[mask] != plain[mask]


@pytest.mark.parametrize("recipe", RECIPES)
def test_intra_batch_changes_no_other_loss_and_reaches_queries_and_pixels(recipe):
    plain, plain_gradients = plain_step(recipe)
    losses, task = one_step(tiny_config(recipe, ON["intra_batch"]))
    assert {name: losses[name] for name in plain} == plain
    assert losses["intra_batch_empty"] > 0
    changed = [name for name, p in task.model.named_parameters() if not torch.equal(p.grad, plain_gradients[name])]
    # Panoptic FCN calls its mask head a kernel head, and encodes its pixels; EoMT upscales them
    assert any(part in name for name in changed for part in ("pixel", "encoder", "upscale"))
    assert any("mask" in name or "kernel" in name for name in changed)


def test_a_model_without_queries_refuses_what_needs_them():
    need_queries = [name for name, config in SMALL.items() if config.make().needs == ("mask_spec",)]
    for name in (*need_queries, "all"):
        with pytest.raises(UserError) as error:
            PanopticTask(tiny_config("panoptic_deeplab_nano", ON[name]), scenes().taxonomy)
        first = min(need_queries) if name == "all" else name  # in the order of their names
        assert f"techniques.{first} works on queries and masks, which PanopticDeepLab does not give" in str(error.value)


def test_steering_a_model_that_assigns_no_pixels_is_refused():
    steered = TechniquesConfig(remask=replace(REMASK, steer=True))
    with pytest.raises(UserError, match=r"MaskFormer assigns none: set techniques\.remask\.steer=false"):
        PanopticTask(tiny_config("maskformer_nano", steered), scenes().taxonomy)
