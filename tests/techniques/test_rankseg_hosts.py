"""RankSeg on every kind of model: a step of training, and what must not depend on what."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes
from pantile.engine.loaders import training_loader
from pantile.engine.task import PanopticTask
from pantile.merge.registry import MERGERS
from pantile.models import create_model
from pantile.recipes import make_recipe
from pantile.techniques import RankSegConfig, TechniquesConfig, build_techniques
from pantile.techniques.base import rewrite_all
from tiny_runs import NANO_RECIPES, data_for

HOSTS = {
    "kmax_nano": "class_logits",
    "maskformer_nano": "class_logits",
    "mask2former_nano": "class_logits",
    "panoptic_fcn_nano": "class_logits",
    "panoptic_deeplab_nano": "semantic_logits",
    "segmenter_nano": "class_logits",
}
SMALL = RankSegConfig(selected=3, channels=32, share_embeddings=False, dropout=0.0)
#: models that predict maps
RANKED = [name for name in NANO_RECIPES if "panoptic" in MERGERS[make_recipe(name).merge.kind].tasks]
K = 5
TAXONOMY = plain_taxonomy("abcde", things="ab")


def config_of(recipe, rankseg):
    config = make_recipe(recipe)
    config.augment.crop = (64, 64)
    config.training.effective_batch, config.training.workers, config.training.precision = 2, 0, "fp32"
    for name, value in {"points": 64, "instance_samples": 64, "semantic_samples": 64}.items():
        if hasattr(config.criterion, name):
            setattr(config.criterion, name, value)
    config.techniques = TechniquesConfig(rankseg=rankseg)
    return config


@cache
def batch(recipe):
    config = config_of(recipe, None)
    scenes = data_for(config, Scenes(2, size=(64, 64), seed=3))
    return next(iter(training_loader(scenes, config))), scenes.taxonomy


def step(recipe, rankseg):
    (images, targets), taxonomy = batch(recipe)
    torch.manual_seed(7)
    task = PanopticTask(config_of(recipe, rankseg), taxonomy).train()
    torch.manual_seed(8)
    losses, _ = task.losses(images, targets)
    return losses, task


@pytest.mark.parametrize(
    ("recipe", "selection"),
    [*((name, "predicted") for name in RANKED), *((name, "ground_truth") for name in HOSTS)],
)
def test_a_step_is_finite_and_reaches_every_head(recipe, selection):
    losses, task = step(recipe, replace(SMALL, selection=selection))
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values()), losses
    assert ("rankseg_presence" in losses) == (selection == "predicted")
    for name, parameter in task.techniques.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    norm = task.techniques["rankseg"].host.ranking.norm
    assert norm.gain.grad.any()
    assert task.techniques["rankseg"].needed_at_inference


@pytest.mark.parametrize("recipe", ["segmenter_nano", "panoptic_deeplab_nano"])
def test_weight_zero_is_absence(recipe):
    plain, _ = step(recipe, None)
    without, task = step(recipe, replace(SMALL, weight=0.0))
    assert not task.techniques
    assert {name: value.item() for name, value in without.items()} == {n: v.item() for n, v in plain.items()}


def network(recipe, rankseg, seed=3):
    """A model in eval mode and its technique, with weights that do not start as zeros."""
    torch.manual_seed(seed)
    model = create_model(config_of(recipe, None).model, K, [c.is_thing for c in TAXONOMY.classes])
    techniques = build_techniques(TechniquesConfig(rankseg=rankseg), model, TAXONOMY)
    for technique in techniques.values():
        gain = getattr(technique.host.ranking.norm, "gain", None)
        if gain is not None:
            with torch.no_grad():
                gain.copy_(torch.linspace(1.5, 0.5, len(gain)))
    return model.double().eval(), techniques.double().eval()


def run(model, techniques, images):
    with torch.no_grad():
        return rewrite_all(techniques.values(), model(images))


def images_of(count):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 64, 64, generator=generator, dtype=torch.float64)


def tokens_of(classifier, call):
    """(B, K, D), what the classifier reads during a call."""
    seen = []
    handle = classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    call()
    handle.remove()
    return seen[0]


def tell_apart(classifier, tokens):
    """Gives the classifier weights by which the even classes come first in one image, the odd ones in the other."""
    difference = tokens[0] - tokens[1]
    weight = difference / difference.square().sum(dim=1, keepdim=True) * torch.tensor([4.0, -4, 3, -3, 2])[:, None]
    with torch.no_grad():
        classifier.weight.copy_(weight)
        classifier.bias.copy_(-(weight * tokens.mean(dim=0)).sum(dim=1))


@pytest.mark.parametrize("recipe", HOSTS)
def test_images_of_a_batch_have_rankings_of_their_own(recipe):
    model, techniques = network(recipe, SMALL)
    images = images_of(2)
    classifier = techniques["rankseg"].host.ranking.head.classifier
    tell_apart(classifier, tokens_of(classifier, lambda: run(model, techniques, images)))
    together = run(model, techniques, images)
    assert together.classes.tolist() == [[0, 2, 4], [1, 3, 4]]
    for index in range(2):
        alone = run(model, techniques, images[index : index + 1])
        assert torch.equal(alone.classes[0], together.classes[index])
        for name in ("presence_logits", HOSTS[recipe]):
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[index], rtol=0, atol=1e-9)


@pytest.mark.parametrize("recipe", HOSTS)
def test_all_classes_without_temperatures_are_the_host(recipe):
    """To the last bit; the classes that a Segmenter refines stay the model's own here."""
    rankseg = replace(SMALL, selected=None, temperature="host", refine_classes=False)
    model, techniques = network(recipe, None)
    expected = run(model, techniques, images_of(2))
    _, techniques = network(recipe, rankseg)
    model, _ = network(recipe, None)
    techniques["rankseg"].attach(model)
    output = run(model, techniques, images_of(2))
    assert output.presence_logits is not None
    assert torch.equal(getattr(output, HOSTS[recipe]), getattr(expected, HOSTS[recipe]))


def test_the_order_of_the_classes_is_nothing():
    """Classes of a Segmenter and of the head change places: so do the channels, and nothing else."""
    order = torch.tensor([3, 0, 4, 1, 2])
    model, techniques = network("segmenter_nano", RankSegConfig(selected=3, num_heads=2, dropout=0.0))
    before = run(model, techniques, images_of(2))
    classifier = techniques["rankseg"].host.ranking.head.classifier
    with torch.no_grad():
        for rows in (model.decoder.class_embed, classifier.weight, classifier.bias):
            rows.copy_(rows[order].clone())
    after = run(model, techniques, images_of(2))
    assert torch.equal(order[after.classes], before.classes)
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=0, atol=1e-9)
    torch.testing.assert_close(after.presence_logits, before.presence_logits[:, order], rtol=0, atol=1e-9)


@pytest.mark.parametrize("recipe", ["segmenter_nano", "mask2former_nano"])
def test_ground_truth_is_asked_for(recipe):
    model, techniques = network(recipe, replace(SMALL, selection="ground_truth"))
    with pytest.raises(UserError, match="reads the annotations of every image"):
        run(model, techniques, images_of(1))


@pytest.mark.parametrize("selection", ["ground_truth", "ground_truth_in_evaluation"])
@pytest.mark.parametrize("recipe", HOSTS)
def test_an_oracle_names_only_what_is_there(recipe, selection):
    model, techniques = network(recipe, replace(SMALL, selection=selection))
    ranking = techniques["rankseg"].host.ranking
    ranking.present = torch.tensor([[False, True, False, False, False], [True, True, False, False, True]])
    output = run(model, techniques, images_of(2))
    logits = getattr(output, HOSTS[recipe])
    if logits.ndim == 3:  # queries
        of_queries = logits.softmax(dim=2)[..., :-1]
        of_no_class = of_queries.amax(dim=2) == of_queries.amin(dim=2)  # Panoptic FCN's region of all things
        probability = of_queries.masked_fill(of_no_class[..., None], 0).amax(dim=1)
    else:
        ranked = logits.softmax(dim=1).amax(dim=(2, 3))
        classes = torch.arange(K).expand(2, -1) if output.classes is None else output.classes
        probability = torch.zeros(2, K, dtype=ranked.dtype).scatter(1, classes, ranked)
    assert probability[~ranking.present].max() < 1e-5
    assert probability[ranking.present].max() > 1e-3


def test_fewer_classes_where_few_are_probable():
    model, techniques = network("segmenter_nano", replace(SMALL, selected=4, threshold_at_test=0.5))
    classifier = techniques["rankseg"].host.ranking.head.classifier
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.copy_(torch.tensor([3.0, -3.0, 2.0, -3.0, -3.0]))
    output = run(model, techniques, images_of(2))
    assert output.classes.tolist() == [[0, 2]] * 2
    with torch.no_grad():
        classifier.bias.fill_(-3.0)
    assert run(model, techniques, images_of(2)).classes.shape == (2, 1)


@pytest.mark.parametrize("count", [2, 5])
def test_another_number_of_classes_at_test(count):
    model, techniques = network("segmenter_nano", replace(SMALL, selected_at_test=count))
    assert run(model, techniques, images_of(2)).class_logits.shape[1] == count
    model.train(), techniques.train()
    assert run(model, techniques, images_of(2)).class_logits.shape[1] == 3


@pytest.mark.parametrize("field", ["selected", "selected_at_test"])
def test_more_classes_than_there_are(field):
    with pytest.raises(UserError, match=rf"rankseg\.{field} is 6, but there are 5 classes: give 1 to 5"):
        network("segmenter_nano", replace(SMALL, **{field: 6}))


def test_the_head_alone_needs_nothing_at_inference():
    _, techniques = network("mask2former_nano", replace(SMALL, selection="none"))
    assert not techniques["rankseg"].needed_at_inference
