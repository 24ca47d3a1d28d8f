"""The criterion against loops over points and pixels, and against another implementation on the same points."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch.nn import functional as F

from gloo_processes import in_processes
from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.losses.set_criterion import (
    SetCriterion,
    SetCriterionConfig,
    maskformer_criterion,
    nearest_pixels,
    segments_per_process,
)

N, K = 4, 3
POINTS = SetCriterionConfig(points=8)
FOCAL = maskformer_criterion()
CONFIGS = {"points": POINTS, "focal": FOCAL}


def make_output(seed=0, batch=2, size=(5, 6), layers=(), dtype=torch.float64, queries=N, classes=K):
    g = torch.Generator().manual_seed(seed)
    none = torch.zeros(batch, 1, 1)
    return MaskOutput(
        class_logits=(2 * torch.randn(batch, queries, classes + 1, generator=g, dtype=dtype)).requires_grad_(),
        mask_logits=(2 * torch.randn(batch, queries, *size, generator=g, dtype=dtype)).requires_grad_(),
        query_embed=none,
        pixel_embed=none[..., None],
        pixel_feature=none[..., None],
        layers=layers,
    )


def with_layers(**options):
    return make_output(3, layers=(make_output(1, **options), make_output(2, **options)), **options)


def make_targets(segments=(3, 2), size=(10, 12), crowd=(), removed=(), seed=7):
    """Maps of random ids with some void; ``removed`` (image, row) have no pixel."""
    g = torch.Generator().manual_seed(seed)
    maps, classes, crowds = [], [], []
    for image, count in enumerate(segments):
        ids = torch.randint(0, count + 1, size, generator=g)
        for row in range(count):
            if (image, row) in removed:
                ids[ids == row + 1] = 0
        maps.append(ids)
        classes.append((torch.arange(count) + image) % K)  # two masks without a pixel must not tie
        crowds.append(torch.tensor([(image, row) in crowd for row in range(count)], dtype=torch.bool))
    return collate_targets(maps, classes, crowds, [f"image{i}" for i in range(len(segments))])


CASES = {
    "ordinary": make_targets(),
    "one image empty": make_targets((0, 3)),
    "no segment at all": make_targets((0, 0)),
    "crowd": make_targets((3, 1), crowd=[(0, 1), (1, 0)]),
    "removed by the crop": make_targets((3, 2), removed=[(0, 1), (1, 0), (1, 1)]),
    "more segments than queries": make_targets((6, 2)),
    "one segment": make_targets((1, 1)),
    "all void": replace(make_targets((2, 1)), ids=torch.zeros(2, 10, 12, dtype=torch.int64)),
}


@pytest.fixture
def fixed_points(monkeypatch):
    """Draws of the same number of points are the same for every mask, whoever asks and in whatever order."""

    def fixed(*size, device=None, generator=None, dtype=None):
        g = torch.Generator().manual_seed(size[-2])
        return original(size[-2], 2, generator=g).expand(*size).clone()

    original = torch.rand
    monkeypatch.setattr(torch, "rand", fixed)


# -- in plain loops ----------------------------------------------------------------------------------------------


def bilinear(plane, point):
    height, width = plane.shape
    x, y = point.tolist()
    rows = (1 - (y * height - 0.5 - torch.arange(height)).abs()).clamp(min=0).to(plane.dtype)
    columns = (1 - (x * width - 0.5 - torch.arange(width)).abs()).clamp(min=0).to(plane.dtype)
    return rows @ plane @ columns


def at(plane, points):
    return torch.stack([bilinear(plane, p) for p in points])


def mask_term(x, t, config):
    p = x.sigmoid()
    if config.mask_loss == "focal":
        return -(0.25 * (1 - p) ** 2 * p.log() * t + 0.75 * p**2 * (1 - p).log() * (1 - t)).mean()
    return -(p.log() * t + (1 - p).log() * (1 - t)).mean()


def dice_term(x, t):
    p = x.sigmoid()
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def rows_of(targets, image, config):
    rows = []
    for row, label in enumerate(targets.classes[image].tolist()):
        mask = (targets.ids[image] == row + 1).double()
        if label >= 0 and not targets.crowd[image, row] and (mask.any() or not config.drop_removed_targets):
            rows.append((row, label, mask))
    return rows


def pairing(output, image, rows, config):
    """(row, query) of least total cost, by trying all."""
    cost = {}
    for row, label, mask in rows:
        for query in range(output.num_queries):
            plane = output.mask_logits[image, query].detach()
            if config.mask_loss == "focal":
                t = F.interpolate(mask[None, None], plane.shape, mode="nearest").flatten()
                x = plane.flatten()
            else:
                points = torch.rand(1, config.points, 2)[0]
                x, t = at(plane, points), at(mask, points)
            probability = output.class_logits[image, query].detach().softmax(0)[label]
            cost[row, query] = (
                config.mask_weight * mask_term(x, t, config)
                + config.dice_weight * dice_term(x, t)
                - config.class_weight * probability
            ).item()
    numbers, queries = [row for row, _, _ in rows], range(output.num_queries)
    if len(numbers) <= len(queries):
        options = [list(zip(numbers, q, strict=True)) for q in permutations(queries, len(numbers))]
    else:
        options = [list(zip(r, queries, strict=True)) for r in permutations(numbers, len(queries))]
    return min(options, key=lambda option: sum(cost[pair] for pair in option))


def naive_criterion(output, targets, config):
    losses = {"class": 0.0, "mask": 0.0, "dice": 0.0}
    segments = sum(len(rows_of(targets, image, config)) for image in range(len(targets)))
    for each in (*output.layers, output):
        class_sum = weights = 0.0
        pairs_of = []
        for image in range(len(targets)):
            rows = rows_of(targets, image, config)
            pairs = pairing(each, image, rows, config)
            pairs_of.append(dict(pairs))
            for row, query in pairs:
                mask = next(m for r, _, m in rows if r == row)
                plane = each.mask_logits[image, query]
                if config.mask_loss == "focal":
                    x = F.interpolate(plane[None, None], mask.shape, mode="bilinear", align_corners=False).flatten()
                    t = mask.flatten()
                else:
                    candidates = torch.rand(1, int(config.oversample * config.points), 2)[0]
                    kept = int(config.importance * config.points)
                    candidates = sorted(candidates, key=lambda p, m=plane: abs(bilinear(m, p).item()))[:kept]
                    points = [*candidates, *torch.rand(1, config.points - kept, 2)[0]]
                    x, t = at(plane, points), at(mask, points)
                losses["mask"] += config.mask_weight * mask_term(x, t, config) / max(segments, 1)
                losses["dice"] += config.dice_weight * dice_term(x, t) / max(segments, 1)
            row_of = {query: row for row, query in pairs}
            for query in range(each.num_queries):
                log_probability = each.class_logits[image, query].log_softmax(0)
                if query not in row_of:
                    class_sum = class_sum - config.no_object_weight * log_probability[-1]
                    weights += config.no_object_weight
                    continue
                label = int(targets.classes[image, row_of[query]])
                wanted = F.one_hot(torch.tensor(label), K).double()
                if each.label_mix is not None:
                    mix = each.label_mix
                    wanted = (1 - mix.weight) * wanted + mix.weight * mix.soft[image, query]
                class_sum = class_sum - (wanted * log_probability[:-1]).sum()
                weights += 1.0
        losses["class"] = losses["class"] + config.class_weight * class_sum / weights
    return losses, pairs_of


def inputs_of(output):
    return [t for o in (*output.layers, output) for t in (o.class_logits, o.mask_logits)]


def gradients(loss, output):
    inputs = inputs_of(output)
    if not torch.is_tensor(loss):
        return [torch.zeros_like(t) for t in inputs]
    found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, inputs, strict=True)]


def pairs_of(assignment: Assignment, targets: PanopticTargets, image: int) -> dict[int, int]:
    """{row: query}"""
    queries = assignment.query_of_row(targets.classes.shape[1])[image].tolist()
    return {row: query for row, query in enumerate(queries) if query >= 0}


@pytest.mark.parametrize("form", CONFIGS)
@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_terms_matching_and_gradients_equal_plain_loops(case, drop, form, fixed_points):
    config, targets = replace(CONFIGS[form], drop_removed_targets=drop), CASES[case]
    output = with_layers()
    result = SetCriterion(config)(output, targets)
    expected, pairs = naive_criterion(output, targets, config)
    for image, expected_pairs in enumerate(pairs):
        assert pairs_of(result.assignment, targets, image) == expected_pairs
    assert result.losses.keys() == expected.keys()
    for name, loss in result.losses.items():
        torch.testing.assert_close(loss, torch.as_tensor(expected[name], dtype=loss.dtype), rtol=1e-6, atol=1e-7)
        for ours, naive in zip(gradients(loss, output), gradients(expected[name], output), strict=True):
            torch.testing.assert_close(ours, naive, rtol=1e-5, atol=1e-7)
    segments = sum(len(rows_of(targets, image, config)) for image in range(2))
    assert int(result.counts["segments"]) == segments
    assert int(result.counts["dropped_segments"]) == segments - sum(len(p) for p in pairs)


def test_the_cases_differ_by_what_is_dropped(fixed_points):
    output = with_layers()
    kept, dropped = (
        SetCriterion(replace(POINTS, drop_removed_targets=drop))(output, CASES["removed by the crop"])
        for drop in (False, True)
    )
    assert int(kept.counts["segments"]) == 5 and int(dropped.counts["segments"]) == 2
    assert (kept.assignment.rows >= 0).sum() == 5 and (dropped.assignment.rows >= 0).sum() == 2


@pytest.mark.parametrize("form", CONFIGS)
@pytest.mark.parametrize("case", ["no segment at all", "all void"])
def test_no_segments_give_zero_mask_terms_that_depend_on_every_output(case, form):
    output = with_layers()
    losses = SetCriterion(CONFIGS[form])(output, CASES[case]).losses
    assert losses["mask"] == losses["dice"] == 0
    for name, which in (("mask", "mask_logits"), ("dice", "mask_logits"), ("class", "class_logits")):
        inputs = [getattr(o, which) for o in (*output.layers, output)]
        found = torch.autograd.grad(losses[name], inputs, retain_graph=True)  # raises if one is not used
        assert all(g.isfinite().all() for g in found)


def test_softened_labels_are_honoured_for_each_output_separately(fixed_points):
    soft = torch.rand(2 * N * K, 2)[:, 0].view(2, N, K).double()
    layer = replace(make_output(1), label_mix=LabelMix(soft, 0.1))
    output = replace(make_output(3), layers=(layer,), label_mix=LabelMix(soft.flip(0), 0.3))
    loss = SetCriterion(POINTS)(output, CASES["ordinary"]).losses["class"]
    torch.testing.assert_close(loss, naive_criterion(output, CASES["ordinary"], POINTS)[0]["class"])
    plain = SetCriterion(POINTS)(replace(output, label_mix=None), CASES["ordinary"]).losses["class"]
    assert not torch.isclose(loss, plain)


def test_a_no_object_weight_of_zero_without_segments_is_no_loss():
    losses = SetCriterion(replace(POINTS, no_object_weight=0.0))(make_output(), CASES["no segment at all"]).losses
    assert losses["class"] == 0


def test_layers_may_have_a_size_of_their_own(fixed_points):
    output = make_output(3, layers=(make_output(1, size=(3, 4)),))
    for config in CONFIGS.values():
        losses = SetCriterion(config)(output, CASES["ordinary"]).losses
        for name, expected in naive_criterion(output, CASES["ordinary"], config)[0].items():
            torch.testing.assert_close(losses[name], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", CONFIGS)
def test_losses_are_float32_under_autocast(form):
    output = make_output(dtype=torch.float32)
    halves = replace(output, class_logits=output.class_logits.bfloat16(), mask_logits=output.mask_logits.bfloat16())

    def losses_of(some_output):
        return SetCriterion(CONFIGS[form])(some_output, CASES["ordinary"], torch.Generator().manual_seed(0)).losses

    plain = losses_of(output)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast, of_halves = losses_of(output), losses_of(halves)
    for name in plain:
        assert under_autocast[name].dtype == of_halves[name].dtype == torch.float32
        torch.testing.assert_close(under_autocast[name], plain[name], rtol=0, atol=0)
        torch.testing.assert_close(of_halves[name], plain[name], rtol=5e-2, atol=0)


def test_masks_in_parts_are_the_same_masks(monkeypatch):
    output, targets = with_layers(), CASES["ordinary"]
    whole = SetCriterion(FOCAL)(output, targets).losses
    monkeypatch.setattr("pantile.losses.set_criterion._PIXELS_AT_A_TIME", 10 * 12 * 2)
    parts = SetCriterion(FOCAL)(output, targets).losses
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name])
        for a, b in zip(gradients(parts[name], output), gradients(whole[name], output), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("what", ["mask_logits", "class_logits"])
def test_a_cost_that_is_not_finite_names_the_term_and_the_image(what):
    output = make_output()
    broken = getattr(output, what).detach().clone()
    broken[1, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=rf"image1\..*{what.replace('_', ' ')}"):
        SetCriterion(POINTS)(replace(output, **{what: broken}), CASES["ordinary"])


def test_all_costs_reach_the_host_at_once(monkeypatch):
    """Stands in for a device: every copy to the host inside the criterion is counted."""
    copies = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: copies.append(tuple(t.shape)) or original(t))
    SetCriterion(POINTS)(with_layers(), CASES["ordinary"])
    large = [shape for shape in copies if len(shape) == 3]
    assert large[0] == (3 * 2, N + 1, 3)  # three outputs of two images; hungarian's own copy is host to host


def test_nearest_pixels_are_those_of_interpolate():
    index = torch.randint(-1, 9, (2, 13, 10))
    for size in ((13, 10), (4, 3), (20, 25), (7, 1)):
        expected = F.interpolate(index[:, None].double(), size, mode="nearest")[:, 0]
        assert torch.equal(nearest_pixels(index, size).double(), expected)


@pytest.mark.parametrize(("field", "value"), [("points", 0), ("oversample", 0.5), ("importance", 1.5)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(UserError, match=f"criterion.{field} is {value}"):
        SetCriterionConfig(**{field: value})


# -- another implementation --------------------------------------------------------------------------------------


def dense_targets(targets: PanopticTargets):
    """(masks, labels) per image as transformers wants them."""
    rows = [rows_of(targets, image, POINTS) for image in range(len(targets))]
    masks = [torch.stack([m.float() for _, _, m in r]) for r in rows]
    return masks, [torch.tensor([label for _, label, _ in r]) for r in rows]


def layered(output):
    return [{"masks_queries_logits": o.mask_logits, "class_queries_logits": o.class_logits} for o in output.layers]


def weighted(found, weights):
    """transformers leaves the weighting to the model."""
    keys = {"class": "loss_cross_entropy", "mask": "loss_mask", "dice": "loss_dice"}
    return {
        name: weights[name] * sum(value for key, value in found.items() if key.startswith(prefix))
        for name, prefix in keys.items()
    }


def compare(ours, theirs, output):
    for name, loss in ours.items():
        torch.testing.assert_close(loss, theirs[name], rtol=1e-5, atol=1e-5)
        for a, b in zip(gradients(loss, output), gradients(theirs[name], output), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", [((16, 20), (64, 80)), ((5, 6), (10, 12))])
def test_equals_transformers_mask2former_on_the_same_points(sizes, fixed_points):
    transformers = pytest.importorskip("transformers")
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    targets = make_targets((5, 3), size=sizes[1])
    output = with_layers(size=sizes[0], dtype=torch.float32, queries=8)
    config = transformers.Mask2FormerConfig(num_labels=K, train_num_points=200, no_object_weight=0.1)
    theirs = Mask2FormerLoss(config, {})
    masks, labels = dense_targets(targets)
    found = theirs(output.mask_logits, output.class_logits, masks, labels, layered(output))
    result = SetCriterion(SetCriterionConfig(points=200))(output, targets)
    compare(result.losses, weighted(found, {"class": 2.0, "mask": 5.0, "dice": 5.0}), output)
    for image, (queries, rows) in enumerate(theirs.matcher(output.mask_logits, output.class_logits, masks, labels)):
        theirs_here = {int(r): int(q) for q, r in zip(queries, rows, strict=True)}
        assert pairs_of(result.assignment, targets, image) == theirs_here


def test_equals_transformers_maskformer():
    pytest.importorskip("transformers")
    from transformers.models.maskformer.modeling_maskformer import MaskFormerHungarianMatcher, MaskFormerLoss

    targets = make_targets((5, 3), size=(32, 40))
    output = with_layers(size=(8, 10), dtype=torch.float32, queries=8)
    matcher = MaskFormerHungarianMatcher(cost_class=1.0, cost_mask=20.0, cost_dice=1.0)
    masks, labels = dense_targets(targets)
    found = MaskFormerLoss(K, matcher, {}, eos_coef=0.1)(
        output.mask_logits, output.class_logits, masks, labels, layered(output)
    )
    result = SetCriterion(FOCAL)(output, targets)
    compare(result.losses, weighted(found, {"class": 1.0, "mask": 20.0, "dice": 1.0}), output)


# -- several processes -------------------------------------------------------------------------------------------


def _share(rank: int) -> tuple[list[float], dict[str, float]]:
    counts = [segments_per_process(s, torch.device("cpu")).item() for s in ((0, 7)[rank], 0)]
    output, targets = make_output(rank), make_targets(((3, 2), (0, 1))[rank])
    losses = SetCriterion(FOCAL)(output, targets).losses
    return counts, {name: loss.item() for name, loss in losses.items()}


def test_processes_divide_by_their_mean_number_of_segments():
    for (rank, own), (counts, losses) in zip(((0, 5), (1, 1)), in_processes(_share), strict=True):
        assert counts == [3.5, 1.0]
        alone = SetCriterion(FOCAL)(make_output(rank), make_targets(((3, 2), (0, 1))[rank])).losses
        for name in ("mask", "dice"):
            assert losses[name] == pytest.approx(alone[name].item() * own / 3.0)
        assert losses["class"] == pytest.approx(alone["class"].item())
