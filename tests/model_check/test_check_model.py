"""The checker says nothing of a sound model, and the right sentence of each broken one."""

from contextlib import contextmanager
from dataclasses import field, fields, make_dataclass, replace

import numpy as np
import pytest
import torch
from tiny_model import NAME, Tiny, TinyConfig
from torch import nn

import pantile
from pantile.contracts.errors import UserError
from pantile.losses import CenterCriterionConfig, SetCriterionConfig
from pantile.merge import CenterMergeConfig, QueryMergeConfig
from pantile.model_check import building, config_fields, names, outputs, round_trips, training
from pantile.model_check.check import STAGES
from pantile.model_check.finding import findings_of
from pantile.model_check.subject import Subject
from pantile.models import ARCHITECTURES

CRITERION, MERGE = SetCriterionConfig(points=64), QueryMergeConfig()


@contextmanager
def registered(model: type, config: object):
    """Enters the architecture, with a config class of its own, for as long as a test needs it."""
    model = type(model.__name__, (model,), {"config_class": type(config), **given(model)})
    ARCHITECTURES.register(NAME)(model)
    try:
        yield config
    finally:
        ARCHITECTURES.remove(NAME)


def given(model: type) -> dict:
    return {"config_class": vars(model)["config_class"]} if "config_class" in vars(model) and model is not Tiny else {}


def config_with(**changes: tuple) -> object:
    """A TinyConfig with fields (annotation, default) added or replaced, or left out where None is given."""
    kept = [(f.name, f.type, field(default=f.default)) for f in fields(TinyConfig) if f.name not in changes]
    new = [(name, kind, field(default=default)) for name, (kind, default) in changes.items() if kind is not None]
    return make_dataclass("TinyConfig", kept + new)()


GONE = (None, None)


def test_a_sound_model_passes_everything():
    with registered(Tiny, TinyConfig()) as config:
        assert pantile.check_model(config, CRITERION, MERGE) == []
        assert pantile.check_model(NAME, CRITERION, MERGE, round_trips=False) == []


def test_the_numbers_of_the_caller_stay():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with registered(Tiny, TinyConfig()) as config:
        for stage in STAGES[:3]:
            for check in stage:
                assert findings_of(check, Subject(config, CRITERION, MERGE)) == []
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", config_fields.FIELDS)
def test_a_missing_field_is_named(name):
    """Without `pretrained` a model trains, and then eval, predict and models info cannot open it."""
    with registered(Tiny, config_with(**{name: GONE})) as config:
        (sentence,) = pantile.check_model(config, CRITERION, MERGE)
    assert sentence.startswith(f"TinyConfig has no field {name!r}, and ") and f"add `{name}: " in sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": (str, NAME)}, "write `architecture: Literal['checked_tiny'] = 'checked_tiny'`"),
        ({"image_mean": (tuple, (127.5,))}, "image_mean has 1 values for 3 bands"),
        ({"image_std": (tuple[float, ...], (0.2, 0.2, 0.3))}, "multiply mean and std by 255"),
        ({"image_std": (tuple[float, ...], (1.0, 0.0, 2.0))}, "images are divided by it"),
        ({"widths": (list, (1, 2))}, "widths comes back from a file as another value"),
        ({"kernel": (object, frozenset({1}))}, "cannot be written to a file"),
    ],
)
def test_a_config_that_cannot_be_read_as_it_was(changes, words):
    with registered(Tiny, config_with(**changes)) as config:
        sentences = pantile.check_model(config, CRITERION, MERGE, round_trips=False)
    assert any(words in sentence for sentence in sentences), sentences


def test_what_is_not_registered_or_no_panoptic_model():
    assert "no architecture is registered as 'checked_tiny'" in pantile.check_model(TinyConfig(), CRITERION, MERGE)[0]
    with pytest.raises(UserError, match="no architecture 'checked_tinny'"):
        pantile.check_model("checked_tinny")
    with registered(nn.Linear, TinyConfig()) as config:
        assert "Linear is no PanopticModel" in pantile.check_model(config, CRITERION, MERGE)[0]
    with registered(type("Other", (Tiny,), {"config_class": SetCriterionConfig}), TinyConfig()) as config:
        assert "Other.config_class is not TinyConfig" in pantile.check_model(config, CRITERION, MERGE)[0]


def test_a_model_without_a_recipe_needs_criterion_and_merge():
    with registered(Tiny, TinyConfig()) as config:
        sentences = pantile.check_model(config, CRITERION, round_trips=False)
    assert sentences and all("no recipe has the architecture 'checked_tiny'" in sentence for sentence in sentences)


def with_init(after):
    """A Tiny whose ``__init__`` ends with ``after(model)``."""

    class Broken(Tiny):
        def __init__(self, config, num_classes):
            super().__init__(config, num_classes)
            after(self)

    return Broken


def with_predict(change):
    """A Tiny whose output passes ``change(model, output)``."""

    class Broken(Tiny):
        def predict(self, features, pixels):
            return change(self, super().predict(features, pixels))

    return Broken


def saying(**attributes):
    return type("Broken", (Tiny,), attributes)


class NoLayerOutputs(Tiny):
    def forward(self, images):
        return super().forward(images)


class EvenOnly(Tiny):
    def forward(self, images, layer_outputs=None):
        batch, channels, height, width = images.shape
        images.view(batch, channels, height // 2, 2, width // 2, 2)
        return super().forward(images)


class UsesWhatIsForTraining(Tiny):
    def predict(self, features, pixels):
        return super().predict(features, pixels + self.auxiliary.weight.mean())


class OutOfOrder(Tiny):
    """Its norm is applied before the convolution that stands before it."""

    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        self.pair = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))

    def predict(self, features, pixels):
        return super().predict(features, self.pair[0](self.pair[1](pixels)))


class MixedTypes(Tiny):
    def predict(self, features, pixels):
        output = super().predict(features, pixels)
        with torch.autocast("cpu", enabled=False):
            masks = torch.bmm(output.query_embed.float(), output.pixel_embed.flatten(2)).view_as(output.mask_logits)
        return replace(output, mask_logits=masks)


class DetachedBackbone(Tiny):
    def forward(self, images, layer_outputs=None):
        features = self.backbone(images).detach()
        return self.predict(features, self.embed(features))


class CountsSteps(Tiny):
    """What training changes is in no tensor of the state dict."""

    steps = 0

    def predict(self, features, pixels):
        self.steps += self.training
        return super().predict(features, pixels * (1 + self.steps))


def of_numpy(model):
    model.queries.data = torch.from_numpy(np.random.default_rng().normal(size=(6, 8))).float()


def mean_over_the_batch(model, output):
    return replace(output, class_logits=output.class_logits - output.class_logits.mean(dim=0))


def root_of_zero(model, output):
    return replace(output, class_logits=output.class_logits + output.class_logits.sub(output.class_logits).sqrt())


def layers_at_all_times(model, output):
    return replace(output, layers=(replace(output, semantic_logits=None),))


def infinite(model, output):
    return replace(output, mask_logits=output.mask_logits / 0)


def without_no_object(model, output):
    return replace(output, class_logits=output.class_logits[..., :-1])


def without_batch(model, output):
    return replace(output, mask_logits=output.mask_logits[0])


def fewer_masks(model, output):
    return replace(output, mask_logits=output.mask_logits[:, :2])


def no_single_class(model):
    if model.num_classes < 2:
        raise ValueError("two or more")


def tied(model):
    model.embed.bias = nn.Parameter(torch.zeros(8))
    model.classify.other = model.embed.bias.data
    model.classify.register_buffer("again", model.embed.bias.data)


class NotSaved(Tiny):
    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        self.register_buffer("shift", torch.zeros(()), persistent=False)

    def predict(self, features, pixels):
        return super().predict(features, pixels + self.shift)

    def eval(self):
        self.shift += torch.rand(())
        return super().eval()


BROKEN = [
    (building.it_builds, with_init(lambda model: 1 / 0), "cannot be built for five classes (ZeroDivisionError"),
    (building.it_builds, with_init(lambda model: delattr(model, "config")), "has no attribute 'config'"),
    (building.it_builds, with_init(of_numpy), "queries differs between two models of one seed"),
    (building.it_has_a_backbone, with_init(lambda model: delattr(model, "backbone")), "no submodule `backbone`"),
    (building.forward_takes_layer_outputs, NoLayerOutputs, "no `layer_outputs: bool | None = None`"),
    (building.it_builds_for_one_class, with_init(no_single_class), "one class is too few (ValueError: two or more)"),
    (
        building.it_builds_for_other_bands,
        with_init(lambda model: setattr(model, "backbone", nn.Conv2d(3, 8, 3, stride=4, padding=1))),
        "an image of 1 band(s) cannot be taken",
    ),
    (
        building.it_builds_without_weights,
        with_init(lambda model: model.queries.mean().item()),
        "cannot be built on the meta device",
    ),
    (names.class_heads_are_named, saying(class_heads=lambda model: {"auxiliary.weight"}), "add it, so that --init"),
    (names.class_heads_are_named, saying(class_heads=lambda model: {"classes"}), "names 'classes', which is no tensor"),
    (names.class_heads_are_named, saying(class_heads=lambda model: {"embed.weight"}), "which has 8 rows"),
    (names.query_embeddings_are_named, saying(query_embeddings=lambda model: {"queries": 1}), "dimension 1 of queries"),
    (names.query_embeddings_are_named, saying(query_embeddings=lambda model: {"q": 0}), "names 'q', which is no"),
    (
        names.segment_limit_is_a_number_or_none,
        with_init(lambda model: setattr(model, "segment_limit", "many")),
        "segment_limit is 'many'",
    ),
    (
        names.weight_decay_is_for_kernels,
        saying(no_weight_decay=lambda model: {"queries"}),
        "backbone.1.weight is no bias of a kernel",
    ),
    (names.weight_decay_is_for_kernels, saying(no_weight_decay=lambda model: {"q"}), "names 'q', which is no param"),
    (names.the_mask_spec_is_true, with_predict(layers_at_all_times), "mask_spec.num_layers is 0, but an output"),
    (outputs.any_size_is_taken, EvenOnly, "forward fails at images of 65 x 65 (RuntimeError"),
    (outputs.any_size_is_taken, with_predict(infinite), "output.mask_logits is not finite at images of 64 x 64"),
    (outputs.any_size_is_taken, with_predict(lambda model, output: None), "gives NoneType, without a tensor"),
    (outputs.an_image_does_not_depend_on_its_batch, with_predict(mean_over_the_batch), "alone than in a batch"),
    (outputs.it_gives_the_classes_it_was_built_for, with_predict(without_no_object), "has 4 classes, not the 5"),
    (
        outputs.layers_are_given_in_training_and_when_asked_for,
        with_predict(layers_at_all_times),
        "eval mode gives outputs of layers that nobody asked for",
    ),
    (outputs.what_is_for_training_only_is_named, saying(training_only=("embed",)), "embed runs in eval mode"),
    (outputs.what_is_for_training_only_is_named, saying(training_only="auxiliary"), "training_only is 'auxiliary'"),
    (outputs.what_is_for_training_only_is_named, UsesWhatIsForTraining, "with other weights of training_only"),
    (outputs.folded_batch_norms_change_nothing, OutOfOrder, "changes where batch norms are folded"),
    (
        outputs.folded_batch_norms_change_nothing,
        with_init(lambda model: setattr(model, "stream", (n for n in range(3)))),
        "cannot be copied, as eval and predict do (TypeError",
    ),
    (outputs.it_computes_in_bfloat16, MixedTypes, "forward fails under autocast to bfloat16"),
    (outputs.its_output_becomes_segments, with_predict(without_batch), "cannot make segments of its output"),
    (
        training.every_parameter_gets_a_gradient,
        with_init(lambda model: setattr(model, "unused", nn.Linear(2, 2))),
        "unused.weight (one of 2) is not used in training",
    ),
    (training.every_parameter_gets_a_gradient, with_predict(root_of_zero), "is not finite: look for a division"),
    (training.every_parameter_gets_a_gradient, DetachedBackbone, "no gradient reaches the backbone"),
    (training.a_step_has_finite_losses, with_predict(fewer_masks), "the criterion of kind 'set' cannot take its out"),
    (training.a_step_has_finite_losses, with_predict(root_of_zero), "in a training step is not finite"),
    (training.weights_are_all_that_it_knows, with_init(tied), "cannot be written as safetensors"),
    (training.weights_are_all_that_it_knows, NotSaved, "is another after its weights were written and read"),
]


@pytest.mark.parametrize(("check", "model", "words"), BROKEN, ids=lambda case: getattr(case, "__name__", None))
def test_a_broken_model_is_told(check, model, words):
    with registered(model, TinyConfig()) as config:
        sentences = findings_of(check, Subject(config, CRITERION, MERGE))
    assert any(words in sentence for sentence in sentences), sentences


def test_every_check_of_a_model_has_its_broken_one():
    config_checks = set(config_fields.CONFIG_CHECKS)
    assert {check for check, _, _ in BROKEN} == {check for stage in STAGES for check in stage} - config_checks


def test_the_wrong_criterion_and_merge_are_told():
    with registered(Tiny, TinyConfig()) as config:
        sentences = pantile.check_model(config, CenterCriterionConfig(), CenterMergeConfig(), round_trips=False)
    assert any("the criterion of kind" in sentence for sentence in sentences)
    assert any("merge of kind" in sentence for sentence in sentences)


def test_what_only_a_run_shows():
    """Steps are counted beside the state dict: nothing is wrong until the trained model is opened."""
    with registered(CountsSteps, TinyConfig()) as config:
        (sentence,) = round_trips.findings_of_round_trips(Subject(config, CRITERION, MERGE))
    assert "of the trained model is another after it was saved and opened" in sentence
