"""Panoptic-DeepLab's criterion against loops over pixels, in value and gradient."""

from dataclasses import replace

import center_scenes
import naive_centers
import pytest
import torch
from center_scenes import IS_THING, targets_of

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput
from pantile.losses import CenterCriterion, CenterCriterionConfig
from pantile.losses.center_targets import center_targets

K = len(IS_THING)


def make_output(targets, size=None, classes=K, seed=0, dtype=torch.float64):
    """Random predictions, by default at about a third of the targets' resolution."""
    batch, height, width = targets.ids.shape
    size = size or (height // 3 + 1, width // 3 + 1)
    g = torch.Generator().manual_seed(seed)
    channels = {"semantic_logits": classes, "center_heatmap": 1, "center_offset": 2}
    return CenterOutput(
        **{n: torch.randn(batch, c, *size, generator=g, dtype=dtype).requires_grad_() for n, c in channels.items()}
    )


def inputs_of(output):
    return [output.semantic_logits, output.center_heatmap, output.center_offset]


def assert_equal_to_loops(output, targets, config, is_thing=IS_THING):
    result = CenterCriterion(config, is_thing)(output, targets)
    expected = naive_centers.criterion(output, targets, is_thing, config)
    assert result.losses.keys() == expected.keys()
    for (name, loss), input_ in zip(result.losses.items(), inputs_of(output), strict=True):
        assert loss.shape == ()
        torch.testing.assert_close(loss, expected[name], rtol=1e-6, atol=1e-9)
        (ours,) = torch.autograd.grad(loss, [input_], retain_graph=True)
        (naive,) = torch.autograd.grad(expected[name], [input_], retain_graph=True)
        torch.testing.assert_close(ours, naive, rtol=1e-5, atol=1e-6)  # the heat map's target is float32
    return result


@pytest.mark.parametrize("case", center_scenes.CASES)
def test_terms_and_gradients_equal_loops_over_pixels(case):
    targets = center_scenes.CASES[case]()
    result = assert_equal_to_loops(make_output(targets), targets, CenterCriterionConfig(small_area=12))
    assert result.assignment is None


@pytest.mark.parametrize("divide_by", ["nonzero", "pixels"])
@pytest.mark.parametrize("top_k_over", ["image", "batch"])
@pytest.mark.parametrize("top_k", [0.001, 0.2, 1.0])
def test_top_k_and_divisors(top_k, top_k_over, divide_by):
    targets = targets_of(center_scenes.half_way(), center_scenes.random_image((9, 11), 5, 6))
    config = CenterCriterionConfig(top_k=top_k, top_k_over=top_k_over, divide_by=divide_by, small_area=12)
    assert_equal_to_loops(make_output(targets), targets, config)


@pytest.mark.parametrize(
    "options",
    [
        {"sigma": 1.5, "crowd_in_semantic": False, "offset_to": "mean"},
        {"semantic_weight": 2.0, "center_weight": 3.0, "offset_weight": 0.5, "small_area": 30, "small_weight": 7.0},
    ],
    ids=["targets", "weights"],
)
def test_options_reach_the_losses(options):
    targets = center_scenes.CASES["random, odd"]()
    assert_equal_to_loops(make_output(targets), targets, CenterCriterionConfig(**options))


def test_one_class():
    ids, classes, crowd = center_scenes.random_image((9, 11), 5, 1)
    targets = targets_of((ids, [0] * len(classes), crowd))
    result = assert_equal_to_loops(
        make_output(targets, classes=1), targets, CenterCriterionConfig(), is_thing=torch.tensor([True])
    )
    assert result.losses["semantic"].item() == 0  # one class can only be right
    assert result.losses["offset"].item() > 0


def test_predictions_at_full_resolution_are_not_resized():
    targets = center_scenes.CASES["random, odd"]()
    assert_equal_to_loops(make_output(targets, size=(13, 9)), targets, CenterCriterionConfig())


@pytest.mark.parametrize("full", [(17, 25), (16, 26)], ids=["aligned", "even"])
def test_offsets_grow_with_the_map(full):
    """A prediction that votes for the one centre from each of its own pixels is right at every size."""
    (cy, cx), (h, w) = (8, 12), (5, 7)
    targets = targets_of(center_scenes.painted(full, [(0, cy, cx)], [0]))
    growth = [(full[0] - 1) / (h - 1), (full[1] - 1) / (w - 1)]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    right = torch.stack([cy / growth[0] - y.double(), cx / growth[1] - x.double()])[None]
    output = make_output(targets, size=(h, w))
    criterion = CenterCriterion(CenterCriterionConfig(offset_weight=1.0), IS_THING)
    assert float(criterion(replace(output, center_offset=right), targets).losses["offset"]) == pytest.approx(
        0, abs=1e-9
    )
    by_one_row = right + torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    loss = criterion(replace(output, center_offset=by_one_row), targets).losses["offset"]
    assert float(loss) == pytest.approx(growth[0] / 2)  # a mean over dy and dx


def test_images_count_alike_and_empty_ones_count():
    """deeplab2's mean over samples: an image without instances halves the offset term of the other."""
    one = center_scenes.half_way()
    config = CenterCriterionConfig()
    targets = targets_of(one, center_scenes.empty((9, 11)))
    output = make_output(targets)
    alone = CenterOutput(*(t[:1] for t in inputs_of(output)))
    criterion = CenterCriterion(config, IS_THING)
    both, single = criterion(output, targets).losses, criterion(alone, targets_of(one)).losses
    for name in single:
        torch.testing.assert_close(both[name] * 2, single[name])


@pytest.mark.parametrize("divide_by", ["nonzero", "pixels"])
@pytest.mark.parametrize("case", ["all void", "all void but with rows"])
def test_nothing_to_learn_is_zero_and_connected(case, divide_by):
    targets = center_scenes.CASES[case]()
    output = make_output(targets)
    losses = CenterCriterion(CenterCriterionConfig(divide_by=divide_by), IS_THING)(output, targets).losses
    for loss, input_ in zip(losses.values(), inputs_of(output), strict=True):
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, [input_])
        assert gradient.shape == input_.shape
        assert not gradient.any()


def test_a_weight_of_zero_keeps_the_output_connected():
    targets = center_scenes.CASES["random"]()
    output = make_output(targets)
    config = CenterCriterionConfig(semantic_weight=0.0, center_weight=0.0, offset_weight=0.0)
    total = torch.stack(list(CenterCriterion(config, IS_THING)(output, targets).losses.values())).sum()
    assert all(not g.any() for g in torch.autograd.grad(total, inputs_of(output)))


def test_counts():
    """vanished: two stuff segments less one, two things less one; crowd only: one stuff; half_way: two things."""
    targets = targets_of(center_scenes.vanished(), center_scenes.crowd_only(), center_scenes.half_way())
    counts = CenterCriterion(CenterCriterionConfig(), IS_THING)(make_output(targets), targets).counts
    assert {name: int(count) for name, count in counts.items()} == {"segments": 5, "centers": 3}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_under_autocast(dtype):
    targets = center_scenes.CASES["random"]()
    half = CenterOutput(*(t.detach().to(dtype).requires_grad_() for t in inputs_of(make_output(targets))))
    wide = CenterOutput(*(t.detach().float() for t in inputs_of(half)))
    criterion = CenterCriterion(CenterCriterionConfig(), IS_THING)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = criterion(half, targets).losses
    for name, expected in criterion(wide, targets).losses.items():
        assert losses[name].dtype == torch.float32
        assert torch.equal(losses[name], expected)
    sum(losses.values()).backward()
    assert all(t.grad.isfinite().all() for t in inputs_of(half))


def test_a_prediction_that_is_not_finite_shows():
    targets = center_scenes.CASES["random"]()
    output = make_output(targets)
    broken = torch.full_like(output.center_heatmap, float("nan"))
    losses = CenterCriterion(CenterCriterionConfig(), IS_THING)(replace(output, center_heatmap=broken), targets).losses
    assert losses["center"].isnan()
    assert losses["semantic"].isfinite()


@pytest.mark.parametrize("bad", [{"top_k": 0.0}, {"top_k": 1.5}, {"sigma": 0.0}])
def test_values_out_of_range_are_named(bad):
    with pytest.raises(UserError, match=f"criterion.{next(iter(bad))}"):
        CenterCriterion(CenterCriterionConfig(**bad), IS_THING)


def test_the_thing_mask_follows_the_device_but_stays_out_of_checkpoints():
    criterion = CenterCriterion(CenterCriterionConfig(), IS_THING)
    assert criterion.to("meta").is_thing.device.type == "meta"
    assert not criterion.state_dict()


def test_selected_classes_learn_in_their_channels_and_others_count_as_void():
    targets = targets_of(center_scenes.random_image((9, 11), 5, 6), center_scenes.random_image((9, 11), 5, 7))
    output = make_output(targets)
    selection = torch.tensor([[2, 0], [1, 2]])
    chosen = torch.stack([maps[kept] for maps, kept in zip(output.semantic_logits, selection, strict=True)])
    selected = replace(output, semantic_logits=chosen, classes=selection)
    loss = CenterCriterion(CenterCriterionConfig(divide_by="pixels", top_k=1.0), IS_THING)(selected, targets)
    semantic = targets.semantic()
    fine = torch.nn.functional.interpolate(chosen, semantic.shape[-2:], mode="bilinear", align_corners=True)
    truth = center_targets(targets, IS_THING)
    expected = 0.0
    for image, y, x in torch.cartesian_prod(*map(torch.arange, semantic.shape)).tolist():
        places = (selection[image] == semantic[image, y, x]).nonzero()
        if len(places):
            weight = truth.semantic_weight[image, y, x].double()
            expected -= weight * fine[image, :, y, x].log_softmax(0)[places[0, 0]]
    torch.testing.assert_close(loss.losses["semantic"], expected / semantic.numel())
