"""The whole criterion against loops over pixels, in value and gradient."""

from dataclasses import replace

import naive_losses
import pytest
import torch
from torch.nn import functional as F

from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses import KMaXCriterion, KMaXCriterionConfig

N, K, D = 4, 3, 5


def make_output(size, batch=2, classes=K, seed=0, layers=(), semantic=None, queries=N, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    embed = F.normalize(torch.randn(batch, D, *size, generator=g, dtype=dtype), dim=1)
    return MaskOutput(
        class_logits=(2 * torch.randn(batch, queries, classes + 1, generator=g, dtype=dtype)).requires_grad_(),
        mask_logits=(2 * torch.randn(batch, queries, *size, generator=g, dtype=dtype)).requires_grad_(),
        query_embed=torch.zeros(batch, queries, D, dtype=dtype),
        pixel_embed=embed.requires_grad_(),
        pixel_feature=torch.zeros(batch, D, *size, dtype=dtype),
        layers=layers,
        semantic_logits=None
        if semantic is None
        else torch.randn(batch, classes + 1, *semantic, generator=g, dtype=dtype).requires_grad_(),
    )


def make_targets(maps, classes, crowd):
    rows = max(len(c) for c in classes)
    return PanopticTargets(
        torch.tensor(maps),
        torch.tensor([c + [-1] * (rows - len(c)) for c in classes], dtype=torch.int64).view(len(maps), rows),
        torch.tensor([c + [False] * (rows - len(c)) for c in crowd], dtype=torch.bool).view(len(maps), rows),
        tuple(f"image{i}" for i in range(len(maps))),
    )


def blocks(*values):
    """A 9x9 map of four quarters; column 4 and row 4 belong to the right and lower ones."""
    a, b, c, d = values
    return [[(a if x < 4 else b) if y < 4 else (c if x < 4 else d) for x in range(9)] for y in range(9)]


def many_segments():
    return [[1 + (y // 3) * 3 + x // 3 for x in range(9)] for y in range(9)]


def speck():
    """Row 1 exists at full resolution only: on odd pixels, which a stride of 2 never sees."""
    m = blocks(2, 2, 3, 0)
    m[1][1] = m[3][5] = 1
    return m


CASES = {
    "ordinary": make_targets([blocks(1, 2, 3, 0), blocks(2, 2, 1, 1)], [[0, 1, 1], [2, 0]], [[False] * 3, [False] * 2]),
    "one image empty": make_targets([blocks(1, 2, 0, 3), blocks(0, 0, 0, 0)], [[0, 1, 2], []], [[False] * 3, []]),
    "no segment at all": make_targets([blocks(0, 0, 0, 0)] * 2, [[], []], [[], []]),
    "crowd": make_targets([blocks(1, 2, 3, 0), blocks(1, 1, 1, 1)], [[0, 0, 2], [1]], [[False, True, False], [True]]),
    "one segment": make_targets([blocks(1, 1, 1, 1), blocks(1, 0, 0, 0)], [[2], [0]], [[False], [False]]),
    "vanished mask": make_targets([speck(), blocks(1, 0, 0, 2)], [[0, 1, 2], [1, 1]], [[False] * 3, [False] * 2]),
    "more segments than queries": make_targets(
        [many_segments(), blocks(1, 2, 0, 2)], [[0, 1, 2, 0, 1, 2, 0, 1, 2], [1, 0]], [[False] * 9, [False] * 2]
    ),
    "one class": make_targets(
        [blocks(1, 2, 3, 0), blocks(1, 1, 2, 2)], [[0, 0, 0], [0, 0]], [[False] * 3, [False] * 2]
    ),
}


def inputs_of(output):
    tensors = [t for o in (*output.layers, output) for t in (o.class_logits, o.mask_logits, o.pixel_embed)]
    return tensors + ([output.semantic_logits] if output.semantic_logits is not None else [])


def gradients(loss, tensors):
    if not loss.requires_grad:
        return [torch.zeros_like(t) for t in tensors]
    found = torch.autograd.grad(loss, tensors, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True)]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", CASES)
def test_terms_and_gradients_equal_loops_over_pixels(case, activation):
    classes = 1 if case == "one class" else K
    layers = (make_output((3, 3), classes=classes, seed=1), make_output((5, 5), classes=classes, seed=2))
    output = make_output((5, 5), classes=classes, seed=3, layers=layers, semantic=(3, 3))
    config = KMaXCriterionConfig(mask_activation=activation)

    result = KMaXCriterion(config)(output, CASES[case])
    expected, pairings = naive_losses.criterion(output, CASES[case], config)

    query_of_row = result.assignment.query_of_row(CASES[case].classes.shape[1])
    for image, pairing in enumerate(pairings):
        assert {g: int(q) for g, q in enumerate(query_of_row[image]) if q >= 0} == pairing
    for layer in result.assignment.layers:
        assert torch.equal(layer.rows, result.assignment.rows)
    assert result.losses.keys() == expected.keys()
    for name, loss in result.losses.items():
        torch.testing.assert_close(loss, torch.as_tensor(expected[name], dtype=loss.dtype), rtol=1e-9, atol=1e-10)
        inputs = inputs_of(output)
        for ours, naive in zip(gradients(loss, inputs), gradients(expected[name], inputs), strict=True):
            torch.testing.assert_close(ours, naive, rtol=1e-7, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("case", ["ordinary", "more segments than queries"])
def test_every_output_can_be_matched_on_its_own(case):
    output = make_output((5, 5), seed=3, layers=(make_output((3, 3), seed=1), make_output((5, 5), seed=2)))
    config = KMaXCriterionConfig(share_final_matching=False)
    losses = KMaXCriterion(config)(output, CASES[case]).losses
    expected, _ = naive_losses.criterion(output, CASES[case], config)
    shared = KMaXCriterion()(output, CASES[case]).losses
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-9, atol=1e-10)
    assert not torch.isclose(losses["mask_id"], shared["mask_id"])


def test_softened_labels_are_honoured_for_each_output_separately():
    soft = torch.rand(2, N, K, generator=torch.Generator().manual_seed(5))
    layer = replace(make_output((3, 3), seed=1), label_mix=LabelMix(soft, 0.1))
    output = replace(make_output((5, 5), seed=3, layers=(layer,)), label_mix=LabelMix(soft.flip(0), 0.3))
    config = KMaXCriterionConfig()
    loss = KMaXCriterion(config)(output, CASES["ordinary"]).losses["class"]
    expected = naive_losses.criterion(output, CASES["ordinary"], config)[0]["class"]
    torch.testing.assert_close(loss, expected, rtol=1e-7, atol=1e-8)
    for ours, naive in zip(gradients(loss, inputs_of(output)), gradients(expected, inputs_of(output)), strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-6, atol=1e-9)


def test_a_mix_of_weight_zero_changes_nothing():
    output = make_output((5, 5), seed=3)
    mixed = replace(output, label_mix=LabelMix(torch.rand(2, N, K), 0.0))
    plain = KMaXCriterion()(output, CASES["ordinary"]).losses["class"]
    assert torch.equal(plain, KMaXCriterion()(mixed, CASES["ordinary"]).losses["class"])


def test_surplus_segments_are_counted():
    output = make_output((5, 5))
    counts = KMaXCriterion()(output, CASES["more segments than queries"]).counts
    assert int(counts["dropped_segments"]) == 9 - N
    assert int(counts["segments"]) == 9 + 2


def test_weights_apply_once_and_zero_leaves_a_term_out():
    output = make_output((5, 5), semantic=(5, 5))
    one = KMaXCriterionConfig(
        class_weight=1.0, mask_weight=1.0, mask_id_weight=1.0, instance_weight=1.0, semantic_weight=1.0
    )
    unit = KMaXCriterion(one)(output, CASES["ordinary"]).losses
    default = KMaXCriterion()(output, CASES["ordinary"]).losses
    for name, weight in {"class": 3.0, "mask": 3.0, "mask_id": 0.3, "instance": 1.0, "semantic": 1.0}.items():
        torch.testing.assert_close(default[name], weight * unit[name])
        without = KMaXCriterion(replace(one, **{f"{name}_weight": 0.0}))(output, CASES["ordinary"]).losses
        assert set(without) == set(unit) - {name}


@pytest.mark.parametrize("what", ["mask_logits", "class_logits"])
def test_a_cost_that_is_not_finite_names_the_term_and_the_image(what):
    output = make_output((5, 5))
    broken = getattr(output, what).detach().clone()
    broken[1, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=rf"image1\..*{what.replace('_', ' ')}"):
        KMaXCriterion()(replace(output, **{what: broken}), CASES["ordinary"])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_what_lies_under_void_changes_no_gradient(activation):
    """Except through the one weight that is defined by it: the void share of unmatched queries in the class term."""
    targets = CASES["ordinary"]
    output = make_output((9, 9), semantic=(9, 9), seed=4)
    void = targets.ids == 0
    noise = torch.Generator().manual_seed(9)

    def changed(maps):
        other = maps.detach() + 0.5 * torch.randn(maps.shape, generator=noise, dtype=maps.dtype)
        return torch.where(void[:, None], other, maps.detach()).requires_grad_()

    other = replace(
        output,
        mask_logits=changed(output.mask_logits),
        pixel_embed=changed(output.pixel_embed),
        semantic_logits=changed(output.semantic_logits),
    )
    crowd_under_void = replace(  # the same pixels void for another reason
        targets,
        ids=torch.where(void, targets.classes.shape[1] + 1, targets.ids),
        classes=torch.cat([targets.classes, torch.zeros(2, 1, dtype=torch.int64)], dim=1),
        crowd=torch.cat([targets.crowd, torch.ones(2, 1, dtype=torch.bool)], dim=1),
    )
    config = KMaXCriterionConfig(mask_activation=activation)
    first = KMaXCriterion(config)(output, targets)
    second = KMaXCriterion(config)(other, crowd_under_void)
    assert torch.equal(first.assignment.rows, second.assignment.rows)
    for name in first.losses:
        before, after = (gradients(r.losses[name], inputs_of(o)) for r, o in ((first, output), (second, other)))
        if name == "class":
            matched = [image.nonzero()[:, 0].tolist() for image in first.assignment.rows >= 0]
            before = [before[0][i, q] for i, q in enumerate(matched)]
            after = [after[0][i, q] for i, q in enumerate(matched)]
        for a, b in zip(before, after, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
        if name != "class":
            for gradient in after[1:]:
                assert not (gradient * void[:, None]).any()


def test_losses_are_float32_under_autocast():
    layers = (make_output((3, 3), dtype=torch.float32),)
    output = make_output((5, 5), semantic=(5, 5), layers=layers, dtype=torch.float32)
    names = ("mask_logits", "class_logits", "pixel_embed")
    halves = replace(output, **{name: getattr(output, name).bfloat16() for name in names})

    def losses_of(some_output):
        generator = torch.Generator().manual_seed(0)
        return KMaXCriterion()(some_output, CASES["ordinary"], generator).losses

    plain = losses_of(output)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast, of_halves = losses_of(output), losses_of(halves)
    for name in plain:
        assert under_autocast[name].dtype == of_halves[name].dtype == torch.float32
        torch.testing.assert_close(under_autocast[name], plain[name], rtol=0, atol=0)
        torch.testing.assert_close(of_halves[name], plain[name], rtol=2e-2, atol=0)


def test_bfloat16_blocks_only_where_allowed():
    output = make_output((9, 9), dtype=torch.float32)

    def instance_loss(allowed):
        criterion = KMaXCriterion(KMaXCriterionConfig(similarity_in_bfloat16=allowed))
        return criterion(output, CASES["ordinary"], torch.Generator().manual_seed(0)).losses["instance"]

    exact = instance_loss(False)
    assert torch.equal(instance_loss(True), exact)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(instance_loss(False), exact)
        rough = instance_loss(True)
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=1e-2, atol=0)


def test_false_positive_split_is_logged_for_every_output():
    output = make_output((9, 9), layers=(make_output((5, 5), seed=1),))
    result = KMaXCriterion(KMaXCriterionConfig(mask_activation="sigmoid", false_positive_stride=1))(
        output, CASES["ordinary"]
    )
    split = result.fp_fn
    assert set(split) == {f"false_{sign}_{name}" for sign in ("positive", "negative") for name in ("layer0", "final")}
    total = sum(split.values())
    torch.testing.assert_close(0.3 * total, result.losses["mask_id"].detach())
    assert not KMaXCriterion(KMaXCriterionConfig(false_positive_stride=0))(output, CASES["ordinary"]).fp_fn
