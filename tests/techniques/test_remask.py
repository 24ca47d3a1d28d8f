"""ReMask against plain loops over equations 1 and 2, and what each of its settings must do."""

import math
from dataclasses import replace

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.techniques import ReClassConfig, ReMaskConfig, TechniquesConfig, build_techniques

TAXONOMY = plain_taxonomy(["car", "road", "person"], things=["car", "person"])
BATCH, QUERIES, CLASSES, SIZE, EMBED, FEATURE, LAYERS = 2, 5, 3, 4, 8, 6, 3


class FakeModel(torch.nn.Module):
    """Anything with a spec: a technique must not ask for more."""

    mask_spec = MaskSpec(LAYERS, QUERIES, CLASSES, EMBED, FEATURE)
    steer = None


def make_output(generator: torch.Generator, layers: int = LAYERS) -> MaskOutput:
    def one() -> MaskOutput:
        def rand(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, requires_grad=True)

        return MaskOutput(
            class_logits=rand(BATCH, QUERIES, CLASSES + 1),
            mask_logits=rand(BATCH, QUERIES, SIZE, SIZE),
            query_embed=rand(BATCH, QUERIES, EMBED),
            pixel_embed=rand(BATCH, EMBED, SIZE, SIZE),
            pixel_feature=rand(BATCH, FEATURE, SIZE, SIZE),
        )

    return replace(one(), layers=tuple(one() for _ in range(layers)))


def make_targets(generator: torch.Generator) -> PanopticTargets:
    ids = torch.randint(0, 4, (BATCH, SIZE, SIZE), generator=generator)
    classes = [torch.tensor([0, 2, 2]), torch.tensor([1, 1, 0])]
    return collate_targets(list(ids), classes, [torch.tensor([False, False, True])] * 2, ["a", "b"])


@pytest.fixture
def output() -> MaskOutput:
    return make_output(torch.Generator().manual_seed(0))


@pytest.fixture
def targets() -> PanopticTargets:
    return make_targets(torch.Generator().manual_seed(1))


def build(**settings):
    torch.manual_seed(0)
    config = ReMaskConfig(**({"stages": 2, "channels": 16} | settings))
    technique = build_techniques(TechniquesConfig(remask=config), FakeModel(), TAXONOMY)["remask"]
    return technique.eval()  # fixed statistics and no dropout: the head is a plain function


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize("clamp", [True, False])
def test_equations_1_and_2_pixel_by_pixel(output, targets, activation, identity, clamp):
    technique = build(activation=activation, identity=identity, clamp=clamp)
    relaxed = technique.before_loss(output, output, targets)
    for stage in range(2):
        layer, semantic = output.layers[stage], relaxed.layers[stage].semantic_logits
        for b in range(BATCH):
            for n in range(QUERIES):
                class_logits = layer.class_logits[b, n].tolist()
                if activation == "sigmoid":
                    p = [sigmoid(v) for v in class_logits[:-1]]
                else:
                    p = softmax(class_logits)[:-1]
                for y in range(SIZE):
                    for x in range(SIZE):
                        logits = semantic[b, :, y, x].tolist()
                        s = [sigmoid(v) for v in logits] if activation == "sigmoid" else softmax(logits)
                        hat = sum(s_c * p_c for s_c, p_c in zip(s, p, strict=True))
                        hat = min(hat, 1.0) if clamp else hat
                        mask = layer.mask_logits[b, n, y, x].item()
                        expected = mask + hat * mask if identity else hat * mask
                        assert relaxed.layers[stage].mask_logits[b, n, y, x].item() == pytest.approx(expected, abs=1e-5)


def test_only_the_first_stages_are_relaxed_and_the_final_output_never_is(output, targets):
    relaxed = build(stages=2).before_loss(output, output, targets)
    assert relaxed.layers[2] is output.layers[2]
    assert relaxed.mask_logits is output.mask_logits
    assert not torch.equal(relaxed.layers[0].mask_logits, output.layers[0].mask_logits)


def test_without_masking_only_the_semantic_loss_remains(output, targets):
    technique = build(masking=False)
    relaxed = technique.before_loss(output, output, targets)
    assert relaxed.layers[0].mask_logits is output.layers[0].mask_logits
    assert technique.extra_losses(relaxed, targets, torch.empty(BATCH, 0))["semantic"] > 0


@pytest.mark.parametrize("stop", [True, False])
def test_panoptic_gradient_into_the_semantic_head(output, targets, stop):
    technique = build(stop_gradient=stop)
    technique.before_loss(output, output, targets).layers[0].mask_logits.sum().backward()
    gradient = technique.heads[0].classify.weight.grad
    assert (gradient is None or not gradient.any()) == stop


@pytest.mark.parametrize("open_", [True, False])
def test_panoptic_gradient_into_the_class_logits_is_a_switch(output, targets, open_):
    build(class_gradient=open_).before_loss(output, output, targets).layers[0].mask_logits.square().sum().backward()
    gradient = output.layers[0].class_logits.grad
    assert (gradient is not None and bool(gradient.any())) == open_


def test_ground_truth_in_place_of_the_semantic_prediction(output, targets):
    technique = build(source="ground_truth", activation="sigmoid")
    relaxed = technique.before_loss(output, output, targets)
    assert not list(technique.parameters())
    assert technique.extra_losses(relaxed, targets, torch.empty(BATCH, 0)) == {}
    semantic = targets.masks_at((SIZE, SIZE)).semantic()
    layer = output.layers[0]
    for b in range(BATCH):
        for n in range(QUERIES):
            for y in range(SIZE):
                for x in range(SIZE):
                    label = semantic[b, y, x].item()
                    hat = sigmoid(layer.class_logits[b, n, label].item()) if label >= 0 else 0.0
                    expected = layer.mask_logits[b, n, y, x].item() * (1 + hat)
                    assert relaxed.layers[0].mask_logits[b, n, y, x].item() == pytest.approx(expected, abs=1e-5)


def test_semantic_loss_is_weighted_and_summed_over_stages(output, targets):
    def loss(**settings):
        technique = build(**settings)
        relaxed = technique.before_loss(output, output, targets)
        return technique.extra_losses(relaxed, targets, torch.empty(BATCH, 0))["semantic"].item()

    assert loss(weight=1.0) == pytest.approx(2 * loss(weight=0.5), rel=1e-6)
    assert loss(stages=2) > loss(stages=1)


def test_the_head_reads_what_the_setting_names(output, targets):
    assert build(feature="pixel_feature").heads[0].aspp.point.conv.in_channels == FEATURE
    assert build(feature="pixel_embed").heads[0].aspp.point.conv.in_channels == EMBED


@pytest.mark.parametrize("off", [{"weight": 0.0}, {"stages": 0}])
def test_switched_off_nothing_is_built_and_no_random_number_is_drawn(off):
    state = torch.random.get_rng_state()
    assert not build_techniques(TechniquesConfig(remask=ReMaskConfig(**off)), FakeModel(), TAXONOMY)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_more_stages_than_layers_is_refused():
    with pytest.raises(UserError, match=r"remask\.stages is 5, but the model has 3 layer outputs and a final one"):
        build(stages=5)


def test_the_last_stage_is_the_final_output(output, targets):
    """For models without layers: stage after the last layer relaxes what the criterion calls final."""
    technique = build(stages=LAYERS + 1)
    relaxed = technique.before_loss(output, output, targets)
    assert not torch.equal(relaxed.mask_logits, output.mask_logits)
    assert relaxed.semantic_logits is not None
    three = build(stages=LAYERS).before_loss(output, output, targets)
    assert torch.equal(three.mask_logits, output.mask_logits)


def test_steering_is_refused_by_a_model_without_the_seam():
    class Unsteerable(torch.nn.Module):
        mask_spec = FakeModel.mask_spec

    with pytest.raises(UserError, match=r"Unsteerable assigns none: set techniques\.remask\.steer=false\.$"):
        build_techniques(TechniquesConfig(remask=ReMaskConfig(stages=1, steer=True)), Unsteerable(), TAXONOMY)


def test_contradicting_settings_are_refused():
    with pytest.raises(UserError, match=r"at_test needs techniques\.remask\.steer"):
        build(at_test=True)


def test_the_order_of_techniques_does_not_matter(output, targets):
    """ReClass reads the model's own masks, so ReMask before it changes nothing."""
    torch.manual_seed(0)
    remask, reclass = build(), ReClassConfig().make()
    one = reclass.before_loss(remask.before_loss(output, output, targets), output, targets)
    other = remask.before_loss(reclass.before_loss(output, output, targets), output, targets)
    for a, b in zip(one.layers, other.layers, strict=True):
        assert torch.equal(a.mask_logits, b.mask_logits)
        assert torch.equal(a.label_mix.soft, b.label_mix.soft)


def test_steering_relaxes_the_assignment_in_training_and_at_test_only_on_demand(output):
    for at_test in (False, True):
        model = FakeModel()
        technique = build_techniques(
            TechniquesConfig(remask=ReMaskConfig(stages=1, steer=True, at_test=at_test, channels=16)), model, TAXONOMY
        )["remask"].eval()
        steered = model.steer(0, output.layers[0])
        assert torch.equal(steered, output.layers[0].mask_logits) != at_test
        assert model.steer(1, output.layers[1]) is output.layers[1].mask_logits
        technique.train()
        assert not torch.equal(model.steer(0, output.layers[0]), output.layers[0].mask_logits)
