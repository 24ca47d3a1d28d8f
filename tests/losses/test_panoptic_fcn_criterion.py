"""Panoptic FCN's targets and criterion against loops over objects, levels, positions and kernels."""

from dataclasses import replace

import position_oracle
import pytest
import torch

from gloo_processes import in_processes
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import LabelMix, MaskOutput, PositionMaps
from pantile.contracts.targets import collate_targets
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.losses import PanopticFCNCriterion, PanopticFCNCriterionConfig
from pantile.losses.panoptic_fcn import _weights_of_pairs
from pantile.losses.position_targets import at_levels, position_targets, stuff_channels, thing_heat
from pantile.losses.registry import create_criterion
from pantile.losses.squared_dice import squared_dice

IS_THING = torch.tensor([False, True, True, False, True])  # things 1, 2, 4; stuff 0, 3
FULL, SIZE, LEVELS = (64, 80), (16, 20), ((8, 10), (4, 5), (2, 3))
RANGES = ((1, 24), (12, 40), (30, 200))
CONFIG = PanopticFCNCriterionConfig(level_ranges=RANGES, kernels_per_object=3)
TERMS = ("position_things", "position_stuff", "mask_things", "mask_stuff")


def painted(regions, crowd=(), full=FULL):
    """``regions``: (class, slice of y, slice of x), later ones over earlier ones; one row each."""
    ids = torch.zeros(full, dtype=torch.int64)
    for row, (_, y, x) in enumerate(regions):
        ids[y, x] = row + 1
    return ids, [c for c, _, _ in regions], [row in crowd for row in range(len(regions))]


def targets_of(*images):
    maps, classes, crowd = zip(*images, strict=True)
    return collate_targets(
        list(maps),
        [torch.tensor(c, dtype=torch.int64) for c in classes],
        [torch.tensor(c, dtype=torch.bool) for c in crowd],
        [f"image{i}" for i in range(len(images))],
    )


def street():
    """Two kinds of stuff, an object on two levels, one on one, two of a class that touch, one in the corner, void."""
    return painted(
        [
            (0, slice(0, 30), slice(0, 80)),
            (3, slice(30, 60), slice(0, 80)),
            (1, slice(10, 26), slice(4, 30)),
            (2, slice(20, 62), slice(34, 70)),
            (1, slice(26, 40), slice(8, 24)),
            (4, slice(52, 64), slice(71, 80)),
        ]
    )


def speckled(seed, rows=7, full=FULL):
    g = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, rows + 1, (full[0] // 8 + 1, full[1] // 8 + 1), generator=g)
    ids = blocks.repeat_interleave(8, 0).repeat_interleave(8, 1)[: full[0], : full[1]].clone()
    noise = torch.rand(full, generator=g) < 0.05
    ids[noise] = torch.randint(0, rows + 1, (int(noise.sum()),), generator=g)
    classes = [0, 3, *torch.tensor([1, 2, 4])[torch.randint(0, 3, (rows - 2,), generator=g)].tolist()]
    crowd = [c in (1, 2, 4) and bool(r < 0.3) for c, r in zip(classes, torch.rand(rows, generator=g), strict=True)]
    return ids, classes, crowd


def small_ones():
    """Row 1 lies between the sampled pixels, row 2 has one of them, row 3 is too large for any level, 4 is crowd."""
    return painted(
        [
            (3, slice(0, 64), slice(0, 80)),
            (1, slice(7, 9), slice(7, 9)),
            (2, slice(17, 19), slice(21, 23)),
            (4, slice(20, 24), slice(40, 80)),
            (1, slice(40, 60), slice(10, 40)),
        ],
        crowd=[4],
    )


def empty(full=FULL):
    return torch.zeros(full, dtype=torch.int64), [], []


CASES = {
    "street": lambda: targets_of(street(), street()),
    "speckled": lambda: targets_of(speckled(0), speckled(1, rows=4)),
    "small, crowd": lambda: targets_of(small_ones(), speckled(3)),
    "one image empty": lambda: targets_of(empty(), street()),
    "no segment at all": lambda: targets_of(empty(), empty()),
    "all void but with rows": lambda: targets_of(
        painted([(1, slice(0, 0), slice(0, 0)), (0, slice(0, 0), slice(0, 0))])
    ),
    "things only": lambda: targets_of(painted([(1, slice(4, 40), slice(4, 40))])),
    "stuff only": lambda: targets_of(painted([(3, slice(0, 64), slice(0, 80))])),
}


def make_output(batch=2, channels=3, seed=0, dtype=torch.float64, depth=4, things=3, size=SIZE, levels=LEVELS):
    g = torch.Generator().manual_seed(seed)

    def maps(count):
        return tuple(torch.randn(batch, count, *s, generator=g, dtype=dtype).requires_grad_() for s in levels)

    bias = torch.randn(depth, generator=g, dtype=dtype).requires_grad_()
    positions = PositionMaps(maps(things), maps(channels), maps(depth), maps(depth), bias)
    embed = torch.randn(batch, depth, *size, generator=g, dtype=dtype).requires_grad_()
    classes = things + 2
    return MaskOutput(
        class_logits=embed.new_zeros(batch, 0, classes + 1),
        mask_logits=embed.new_zeros(batch, 0, *size),
        query_embed=embed.new_zeros(batch, 0, depth),
        pixel_embed=embed,
        pixel_feature=embed,
        positions=positions,
    )


def inputs_of(output):
    p = output.positions
    return [
        *p.thing_logits,
        *p.stuff_logits,
        *p.thing_kernels,
        *p.stuff_kernels,
        p.stuff_bias,
        output.pixel_embed,
    ]


def gradients(loss, output):
    return torch.autograd.grad(loss, inputs_of(output), retain_graph=True, allow_unused=True)


def assert_equal_gradients(a, b):
    """None is a gradient of zeros."""
    if a is not None or b is not None:
        a, b = (torch.zeros(()) if g is None else g for g in (a, b))
        torch.testing.assert_close(*torch.broadcast_tensors(a, b), rtol=1e-6, atol=1e-6, check_dtype=False)


def assert_equal_to_loops(raw, targets, config=CONFIG, output=None, is_thing=IS_THING):
    criterion = PanopticFCNCriterion(config, is_thing)
    output = output or criterion.choose_queries(raw, targets)
    result = criterion(output, targets)
    expected = position_oracle.criterion(output, targets, is_thing, config)
    assert tuple(result.losses) == tuple(expected) == TERMS
    for name, loss in result.losses.items():
        assert loss.shape == ()
        torch.testing.assert_close(loss, expected[name], rtol=1e-6, atol=1e-9)
        for ours, naive in zip(gradients(loss, raw), gradients(expected[name], raw), strict=True):
            assert_equal_gradients(ours, naive)
    return result


# -- loops -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_terms_and_gradients_equal_loops(case):
    targets = CASES[case]()
    assert_equal_to_loops(make_output(len(targets)), targets)


@pytest.mark.parametrize("channels", [2, 5], ids=["stuff classes only", "all classes"])
def test_stuff_without_a_channel_of_all_things(channels):
    assert_equal_to_loops(make_output(channels=channels), CASES["small, crowd"]())


@pytest.mark.parametrize(
    "options",
    [
        {"kernels_per_object": 100, "inside_threshold": 0.4, "min_overlap": 0.1},
        {"position_weight": 2.0, "segment_weight": 0.5, "focal_alpha": 0.6, "focal_gamma": 1.5},
        {"ignore_void": True, "crowd_as_things": False},
    ],
    ids=["kernels", "weights", "void"],
)
def test_options_reach_the_losses(options):
    targets = targets_of(small_ones(), speckled(5))
    assert_equal_to_loops(make_output(), targets, replace(CONFIG, **options))


def test_one_kind_of_class():
    """Without things and without stuff there are no channels; nothing else changes."""
    targets = targets_of(painted([(0, slice(0, 64), slice(0, 60)), (3, slice(9, 40), slice(9, 30))]))
    only_stuff = torch.tensor([False] * 5)
    assert_equal_to_loops(make_output(1, things=0, channels=6), targets, is_thing=only_stuff)
    only_things = ~only_stuff
    assert_equal_to_loops(make_output(1, things=5, channels=1), targets, is_thing=only_things)
    assert_equal_to_loops(make_output(1, things=5, channels=0), targets, is_thing=only_things)


def test_sizes_that_do_not_divide():
    full, size, levels = (45, 38), (13, 11), ((6, 7), (3, 2), (1, 1))
    targets = targets_of(speckled(8, full=full), speckled(9, rows=3, full=full))
    assert_equal_to_loops(make_output(size=size, levels=levels), targets)


# -- targets -----------------------------------------------------------------------------------------------------


def truth_of(targets, channels=3, ranges=RANGES, size=SIZE, levels=LEVELS, **options):
    return position_targets(targets, IS_THING, channels, size, levels, ranges, **options)


@pytest.mark.parametrize("case", CASES)
def test_targets_equal_loops(case):
    targets = CASES[case]()
    truth = truth_of(targets)
    heat = thing_heat(truth, IS_THING)
    for b, naive in enumerate(position_oracle.truths(make_output(len(targets)), targets, IS_THING, CONFIG)):
        start = 0
        for level, (h, w) in enumerate(LEVELS):
            part = slice(start, start + h * w)
            start += h * w
            torch.testing.assert_close(heat[b, :, part].view(-1, h, w), torch.tensor(naive.heat[level]))
            torch.testing.assert_close(truth.stuff[b, :, part].view(-1, h, w), torch.tensor(naive.stuff[level]))
            assert torch.equal(truth.void[b, part].view(h, w), torch.tensor(naive.void[level]))
        torch.testing.assert_close(truth.regions[b], torch.tensor(naive.regions))
        for row in range(targets.classes.shape[1]):
            mask = torch.tensor(naive.masks[row]) if row in naive.masks else torch.zeros(SIZE)
            torch.testing.assert_close(truth.masks[b, row], mask)
            levels = naive.objects[row][2] if row in naive.objects else {}
            assert truth.pairs[b, row].nonzero().flatten().tolist() == list(levels)
            for level, (radius, y, x) in levels.items():
                assert truth.radii[b, row, level] == radius
                assert truth.centers[b, row, level].tolist() == [y, x]


def test_by_hand():
    """A square of 16 pixels from (16, 24): stride 4 (4..7, 6..9), mean (5.5, 7.5), on levels of stride 8 and 16."""
    targets = targets_of(painted([(2, slice(16, 32), slice(24, 40))]))
    truth = truth_of(targets)
    assert truth.pairs[0, 0].tolist() == [True, True, False]
    assert truth.centers[0, 0, 0].tolist() == [2, 3]
    assert truth.centers[0, 0, 1].tolist() == [1, 1]
    assert truth.radii[0, 0].tolist() == [0, 0, 0]  # 0.273 of two positions
    heat = thing_heat(truth, IS_THING)
    expected = torch.zeros(3, 80)
    expected[1, 2 * 10 + 3] = 1
    assert torch.equal(heat[0, :, :80], expected)
    assert truth.masks.sum() == 16
    assert truth.stuff[0, 0, :80].view(8, 10)[2:4, 3:5].eq(1).all()
    assert truth.stuff[0, 0, :80].sum() == 4


def test_a_gaussian_by_hand():
    """A box of 40 positions has a radius of 10 (0.2733 of 40, truncated) and a sigma of 7; it ends at the radius."""
    targets = targets_of(painted([(1, slice(0, 40), slice(0, 40))], full=(48, 48)))
    truth = truth_of(targets, size=(48, 48), levels=[(48, 48)], ranges=[(1, 99)])
    heat = thing_heat(truth, IS_THING)[0, 0].view(48, 48)
    assert truth.radii.item() == 10
    assert truth.centers.flatten().tolist() == [19, 19]
    assert heat[19, 19] == 1
    assert heat[9, 22] == pytest.approx(torch.tensor(-(100 + 9) / (2 * 49)).exp())
    assert heat[8, 19] == heat[19, 30] == 0
    assert (heat > 0).sum() == 21 * 21


def test_border_objects_stay_inside():
    corners = [(1, slice(60, 64), slice(76, 80)), (2, slice(0, 4), slice(0, 4)), (4, slice(60, 64), slice(0, 4))]
    truth = truth_of(targets_of(painted(corners)), ranges=((1, 99),) * 3)
    for level, (h, w) in enumerate(LEVELS):
        assert truth.centers[0, :, level].tolist() == [[h - 1, w - 1], [0, 0], [h - 1, 0]]
    assert thing_heat(truth, IS_THING).eq(1).sum() == 9


def test_ranges_include_both_ends():
    """Boxes of 16 x 9 have a root of exactly 12."""
    targets = targets_of(painted([(1, slice(8, 24), slice(8, 17))]))
    assert truth_of(targets, ranges=((1, 12), (12, 40), (12.5, 99))).pairs[0, 0].tolist() == [True, True, False]


def test_any_number_of_objects():
    squares = [(1, slice(4 * y, 4 * y + 4), slice(4 * x, 4 * x + 4)) for y in range(16) for x in range(20)]
    targets = targets_of(painted(squares))
    criterion = PanopticFCNCriterion(CONFIG, IS_THING)
    result = criterion(make_output(1), targets)
    assert result.counts["object_levels"] == 320
    assert result.counts["segments"] == 320
    assert all(v.isfinite() for v in result.losses.values())


def test_ways_to_build_stuff_channels():
    assert stuff_channels(IS_THING, 3)[0].tolist() == [1, -1, -1, 2, -1]
    assert stuff_channels(IS_THING, 2)[0].tolist() == [0, -1, -1, 1, -1]
    assert stuff_channels(IS_THING, 5)[0].tolist() == [0, -1, -1, 3, -1]
    assert [stuff_channels(IS_THING, c)[1] for c in (3, 2, 5)] == [True, False, False]
    assert stuff_channels(torch.tensor([False, True, False]), 3)[0].tolist() == [1, -1, 2]  # one thing: all together
    with pytest.raises(ValueError, match="4 stuff channels"):
        stuff_channels(IS_THING, 4)


# -- queries -----------------------------------------------------------------------------------------------------


def test_chosen_positions_are_the_best_inside_the_mask():
    targets, output = targets_of(street(), speckled(0)), make_output()
    config = replace(CONFIG, kernels_per_object=4)
    chosen = PanopticFCNCriterion(config, IS_THING).choose_queries(output, targets)
    truth = truth_of(targets)
    inside = at_levels(truth.masks, LEVELS) > 0.1
    scores = torch.cat([m.flatten(2) for m in output.positions.thing_logits], dim=2).sigmoid()
    channel = {1: 0, 2: 1, 4: 2}
    found = 0
    for b in range(2):
        for row, on in enumerate(truth.pairs[b].tolist()):
            mine = chosen.positions.chosen[b][(chosen.assignment.rows[b] == row) & (chosen.positions.chosen[b] >= 0)]
            expected, start = [], 0
            for level, (h, w) in enumerate(LEVELS):
                if on[level]:
                    own = scores[b, channel[targets.classes[b, row].item()], start : start + h * w]
                    own = torch.where(inside[b, row, start : start + h * w], own, -1)
                    keep = own.argsort(descending=True)[:4]
                    expected += (keep[own[keep] >= 0] + start).tolist()
                start += h * w
            assert mine.tolist() == expected
            found += len(expected)
    assert found > 20


def test_weights_sum_to_one_and_masks_are_products():
    targets, raw = targets_of(street(), small_ones()), make_output()
    output = PanopticFCNCriterion(CONFIG, IS_THING).choose_queries(raw, targets)
    rows, weights = output.assignment.rows, output.assignment.weights
    total = torch.zeros(2, 6).double().scatter_add(1, rows.clamp(min=0), weights)
    exists = torch.zeros(2, 7).scatter(1, rows + 1, 1.0)[:, 1:]
    torch.testing.assert_close(total, exists.double())
    # row 1 of the second image has no pixel at stride 4; row 4 is crowd; row 5 does not exist
    assert exists.tolist() == [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0]]
    assert (weights[rows < 0] == 0).all()
    assert (output.query_embed[rows < 0] == 0).all()
    assert (output.class_logits[rows < 0] == 0).all()
    product = torch.einsum("bnd,bdhw->bnhw", output.query_embed, output.pixel_embed)
    torch.testing.assert_close(output.mask_logits, product)
    assert output.num_queries == int((rows >= 0).sum(dim=1).max())
    flat = torch.cat([m.flatten(2) for m in raw.positions.thing_kernels], dim=2)
    for b, n in (output.positions.chosen >= 0).nonzero().tolist():
        assert torch.equal(output.query_embed[b, n], flat[b, :, output.positions.chosen[b, n]])


def test_class_logits_are_in_the_order_of_the_taxonomy():
    targets, raw = CASES["street"](), make_output()
    output = PanopticFCNCriterion(CONFIG, IS_THING).choose_queries(raw, targets)
    things = torch.cat([m.flatten(2) for m in raw.positions.thing_logits], dim=2)
    stuff = torch.cat([m.flatten(2) for m in raw.positions.stuff_logits], dim=2)
    truth = truth_of(targets)
    classes = torch.stack([stuff[:, 1], things[:, 0], things[:, 1], stuff[:, 2], things[:, 2]], dim=1)
    pooled_seen = 0
    for n, position in enumerate(output.positions.chosen[0].tolist()):
        if position >= 0:
            assert torch.equal(output.class_logits[0, n, :-1], classes[0, :, position])
    pooled = [n for n, p in enumerate(output.positions.chosen[0].tolist()) if p < 0]
    starts = [0, 80, 100, 106]
    for level in range(3):
        for channel in (1, 2):
            region = truth.stuff[0, channel, starts[level] : starts[level + 1]] > 0
            if region.any():
                mean = classes[0, :, starts[level] : starts[level + 1]][:, region].mean(dim=1)
                torch.testing.assert_close(output.class_logits[0, pooled[pooled_seen], :-1], mean)
                pooled_seen += 1
    assert pooled_seen == len(pooled) > 2
    assert (output.class_logits[..., -1] == 0).all()


def test_pooling_before_the_bias_equals_pooling_after_it():
    """A 1x1 convolution may stand before or after the mean over the map: the bias is added once, whole."""
    targets = targets_of(painted([(3, slice(0, 64), slice(0, 40))]))
    raw = make_output(1)
    output = PanopticFCNCriterion(CONFIG, IS_THING).choose_queries(raw, targets)
    kernels = raw.positions.stuff_kernels[0][0]
    expected = kernels[:, :, :5].sum(dim=(1, 2)) / 80 + raw.positions.stuff_bias
    torch.testing.assert_close(output.query_embed[0, 0], expected)


def test_objects_train_on_two_levels_with_a_weight_each():
    targets = targets_of(painted([(2, slice(16, 32), slice(24, 40))]))
    criterion = PanopticFCNCriterion(CONFIG, IS_THING)
    output = criterion.choose_queries(make_output(1), targets)
    levels = (output.positions.chosen[0] >= 80).long()
    assert levels.tolist() == [0, 0, 0, 1, 1, 1][: len(levels)]
    for level in (0, 1):
        assert output.assignment.weights[0][levels == level].sum().item() == pytest.approx(0.5)
    weights = _weights_of_pairs(output.assignment, output.positions.chosen, truth_of(targets))
    for level in (0, 1):
        assert weights[0][levels == level].sum().item() == pytest.approx(1)
    assert criterion(output, targets).counts["object_levels"] == 2


def test_weighted_dice_of_equal_kernels_is_dice():
    targets, raw = targets_of(painted([(2, slice(16, 32), slice(24, 40))])), make_output(1)
    equal = tuple(torch.ones_like(m) * torch.arange(1.0, 5)[:, None, None] / 9 for m in raw.positions.thing_kernels)
    raw = replace(raw, positions=replace(raw.positions, thing_kernels=equal))
    criterion = PanopticFCNCriterion(replace(CONFIG, segment_weight=1.0), IS_THING)
    loss = criterion(raw, targets).losses["mask_things"]
    mask = torch.tensordot(torch.arange(1.0, 5).double() / 9, raw.pixel_embed[0], dims=1)
    torch.testing.assert_close(loss, position_oracle.dice(mask, truth_of(targets).masks[0, 0].tolist()))


def test_dice_in_parts_equals_dice_at_once(monkeypatch):
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, 6, generator=g, requires_grad=True)
    masks, rows = torch.rand(2, 3, 4, 6, generator=g), torch.randint(-1, 3, (2, 5), generator=g)
    whole = squared_dice(logits, masks, rows)
    (expected,) = torch.autograd.grad(whole.square().sum(), logits)
    monkeypatch.setattr("pantile.losses.squared_dice._PIXELS_AT_A_TIME", 24 * 3)
    parts = squared_dice(logits, masks, rows)
    assert torch.equal(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), logits)[0], expected)


# -- batches -----------------------------------------------------------------------------------------------------


def test_two_equal_images_cost_as_much_as_one():
    one, two = targets_of(street()), targets_of(street(), street())
    single = make_output(1)
    twice = replace(
        single,
        pixel_embed=single.pixel_embed.expand(2, -1, -1, -1),
        positions=PositionMaps(
            *(tuple(m.expand(2, -1, -1, -1) for m in maps) for maps in list(vars(single.positions).values())[:4]),
            single.positions.stuff_bias,
        ),
    )
    criterion = PanopticFCNCriterion(CONFIG, IS_THING)
    first, second = criterion(single, one).losses, criterion(twice, two).losses
    for name in TERMS:
        torch.testing.assert_close(first[name], second[name])
        for a, b in zip(gradients(first[name], single), gradients(second[name], single), strict=True):
            assert_equal_gradients(a, b)


@pytest.mark.parametrize("case", ["no segment at all", "all void but with rows", "stuff only", "things only"])
def test_every_loss_stays_connected(case):
    targets = CASES[case]()
    raw = make_output(len(targets))
    losses = PanopticFCNCriterion(CONFIG, IS_THING)(raw, targets).losses
    p = raw.positions
    reached = {
        "position_things": p.thing_logits,
        "position_stuff": p.stuff_logits,
        "mask_things": (*p.thing_kernels, raw.pixel_embed),
        "mask_stuff": (*p.stuff_kernels, p.stuff_bias, raw.pixel_embed),
    }
    for name, tensors in reached.items():
        found = torch.autograd.grad(losses[name], tensors, retain_graph=True)
        assert all(g.isfinite().all() for g in found)
    if case in ("no segment at all", "all void but with rows"):
        assert losses["mask_things"] == losses["mask_stuff"] == 0
        assert losses["position_things"] > 0  # every position is a negative


def test_positions_learn_from_masks():
    """The gradient of the dice loss reaches the scores that weigh the kernels."""
    targets, raw = CASES["street"](), make_output()
    losses = PanopticFCNCriterion(CONFIG, IS_THING)(raw, targets).losses
    assert torch.autograd.grad(losses["mask_things"], raw.positions.thing_logits)[0].abs().sum() > 0


# -- techniques --------------------------------------------------------------------------------------------------


def mixed(output, weight=0.3, seed=4):
    g = torch.Generator().manual_seed(seed)
    soft = torch.rand(*output.class_logits.shape[:2], 5, generator=g)
    return replace(output, label_mix=LabelMix(soft, weight))


@pytest.mark.parametrize("case", ["street", "speckled", "no segment at all"])
def test_label_mix_equals_loops_and_changes_only_position_things(case):
    targets, raw = CASES[case](), make_output()
    criterion = PanopticFCNCriterion(CONFIG, IS_THING)
    output = criterion.choose_queries(raw, targets)
    soft = assert_equal_to_loops(raw, targets, output=mixed(output)).losses
    hard = criterion(output, targets).losses
    assert [n for n in TERMS if soft[n] != hard[n]] == ([] if "no" in case else ["position_things"])
    none = criterion(mixed(output, 0.0), targets).losses
    assert all(torch.equal(none[n], hard[n]) for n in TERMS)


def test_masks_that_a_technique_changed_are_the_ones_compared():
    targets, raw = CASES["street"](), make_output()
    criterion = PanopticFCNCriterion(CONFIG, IS_THING)
    output = criterion.choose_queries(raw, targets)
    relaxed = criterion(replace(output, mask_logits=output.mask_logits * 3), targets).losses
    plain = criterion(output, targets).losses
    assert [n for n in TERMS if relaxed[n] != plain[n]] == ["mask_things", "mask_stuff"]


# -- precision, processes, errors --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_under_autocast(dtype):
    targets = CASES["street"]()
    half = make_output(dtype=dtype)
    criterion = PanopticFCNCriterion(CONFIG, IS_THING)
    with torch.autocast("cpu", dtype=dtype):
        output = criterion.choose_queries(half, targets)
        losses = criterion(output, targets).losses
    sum(losses.values()).backward()
    assert all(t.grad.isfinite().all() for t in inputs_of(half))
    wide = replace(
        half,
        pixel_embed=half.pixel_embed.detach().float(),
        positions=PositionMaps(
            *(tuple(m.detach().float() for m in maps) for maps in list(vars(half.positions).values())[:4]),
            half.positions.stuff_bias.detach().float(),
        ),
    )
    chosen = criterion.choose_queries(wide, targets)
    assert torch.equal(chosen.positions.chosen, output.positions.chosen)
    for name, expected in criterion(chosen, targets).losses.items():
        assert losses[name].dtype == torch.float32
        torch.testing.assert_close(losses[name], expected, rtol=2e-3 if "mask" in name else 0, atol=0)


@pytest.mark.parametrize("name", ["thing_logits", "stuff_logits", "thing_kernels", "stuff_kernels"])
def test_what_is_not_finite_is_named(name):
    raw = make_output()
    broken = getattr(raw.positions, name)
    broken = (*broken[:2], torch.full_like(broken[2], float("nan")))
    raw = replace(raw, positions=replace(raw.positions, **{name: broken}))
    with pytest.raises(FloatingPointError, match=f"Not finite: {name.replace('_', ' ')}."):
        PanopticFCNCriterion(CONFIG, IS_THING)(raw, CASES["street"]())


def test_a_pixel_embedding_that_is_not_finite_is_named():
    raw = make_output()
    raw = replace(raw, pixel_embed=raw.pixel_embed / 0)
    with pytest.raises(FloatingPointError, match=r"Not finite: pixel embedding\."):
        PanopticFCNCriterion(CONFIG, IS_THING)(raw, CASES["no segment at all"]())


def test_ranges_and_levels_must_agree():
    with pytest.raises(UserError, match=r"criterion.level_ranges has 5 ranges, but the model has 3 levels"):
        PanopticFCNCriterion(PanopticFCNCriterionConfig(), IS_THING)(make_output(), CASES["street"]())


@pytest.mark.parametrize(
    "bad",
    [
        {"level_ranges": ()},
        {"level_ranges": ((3, 1),)},
        {"kernels_per_object": 0},
        {"focal_alpha": 1.5},
        {"focal_gamma": -1.0},
        {"min_overlap": -0.1},
        {"inside_threshold": 2.0},
    ],
)
def test_values_out_of_range_are_named(bad):
    with pytest.raises(UserError, match=f"criterion.{next(iter(bad))}"):
        PanopticFCNCriterionConfig(**bad)


def test_counts():
    """small_ones: five rows, one of them crowd; row 1 has no mask; row 3's root of 12.6 fits; street: six rows."""
    targets = targets_of(small_ones(), street())
    result = PanopticFCNCriterion(CONFIG, IS_THING)(make_output(), targets)
    assert result.counts["segments"] == 4 + 6
    assert result.counts["dropped_segments"] == 1
    assert result.assignment.rows.shape == result.assignment.weights.shape


def test_the_registry_makes_it_from_a_taxonomy():
    taxonomy = Taxonomy(tuple(ClassInfo(str(k), bool(t), k, (k, k, k)) for k, t in enumerate(IS_THING)))
    criterion = create_criterion(CONFIG, taxonomy)
    assert isinstance(criterion, PanopticFCNCriterion)
    assert criterion.is_thing.tolist() == IS_THING.tolist()
    assert not criterion.state_dict()


def _share(rank):
    targets = (CASES["street"](), CASES["no segment at all"]())[rank]
    losses = PanopticFCNCriterion(CONFIG, IS_THING)(make_output(), targets).losses
    return {name: loss.item() for name, loss in losses.items()}


def test_processes_divide_by_their_mean_number_of_pairs():
    street_alone = PanopticFCNCriterion(CONFIG, IS_THING)(make_output(), CASES["street"]())
    empty_alone = PanopticFCNCriterion(CONFIG, IS_THING)(make_output(), CASES["no segment at all"]()).losses
    first, second = in_processes(_share)
    for name in TERMS:
        factor = 1 if name == "position_stuff" else 2  # half as many pairs per process
        assert first[name] == pytest.approx(factor * street_alone.losses[name].item())
    mean = street_alone.counts["object_levels"].item() / 2
    assert second["position_things"] == pytest.approx(empty_alone["position_things"].item() / mean)
