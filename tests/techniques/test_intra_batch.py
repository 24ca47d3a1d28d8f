"""Intra-batch supervision against loops over instances and pixels, and what each of its settings must do."""

from dataclasses import replace

import pytest
import torch

from gloo_processes import in_processes
from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.techniques import IntraBatchConfig, TechniquesConfig, build_techniques

N, D, SIZE = 4, 3, (3, 5)
TAXONOMY = plain_taxonomy(["bird", "road", "car"], things=["bird", "car"])  # a thing is class 0
ALL_PIXELS = IntraBatchConfig(weight=2.0, points=0)


class FakeModel(torch.nn.Module):
    mask_spec = MaskSpec(2, N, 3, D, 7)


def make_output(seed: int, batch: int = 3, layers: tuple = ()) -> MaskOutput:
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    embed, pixels = rand(batch, N, D), rand(batch, D, *SIZE)
    return MaskOutput(
        class_logits=rand(batch, N, 4),
        mask_logits=torch.einsum("bnd,bdhw->bnhw", embed, pixels),
        query_embed=embed,
        pixel_embed=pixels,
        pixel_feature=rand(batch, 7, *SIZE),
        layers=layers,
    )


def make_targets(*classes: list[int]) -> PanopticTargets:
    tables = [torch.tensor(c, dtype=torch.int64) for c in classes]
    ids = [torch.zeros(8, 8, dtype=torch.int16)] * len(tables)
    return collate_targets(ids, tables, [torch.zeros(len(c), dtype=torch.bool) for c in tables], ["x"] * len(tables))


TARGETS = make_targets([0, 1], [2, 2], [1])
ROWS = torch.tensor([[0, -1, 1, -1], [1, 0, -1, -1], [-1, -1, -1, 0]])
ONE_EACH = Assignment(ROWS, (ROWS >= 0).double())


def built(config: IntraBatchConfig):
    return build_techniques(TechniquesConfig(intra_batch=config), FakeModel(), TAXONOMY)["intra_batch"]


def naive(output: MaskOutput, assignment: Assignment, targets: PanopticTargets, partner: list[int]) -> torch.Tensor:
    """The mean over things, one pixel at a time."""
    total, count = 0.0, 0.0
    for image in range(len(targets)):
        for query in range(assignment.rows.shape[1]):
            row = int(assignment.rows[image, query])
            if row < 0 or not TAXONOMY.classes[int(targets.classes[image, row])].is_thing:
                continue
            own = 0.0
            for y in range(SIZE[0]):
                for x in range(SIZE[1]):
                    logit = output.query_embed[image, query] @ output.pixel_embed[partner[image], :, y, x]
                    s = 1 / (1 + torch.exp(-logit))
                    own = own - 0.75 * s**2 * torch.log(1 - s)
            total = total + assignment.weights[image, query] * own / (SIZE[0] * SIZE[1])
            count += assignment.weights[image, query]
    return total / count


def partners(monkeypatch, *ahead: int) -> list[int]:
    """Fixes the draw."""
    monkeypatch.setattr(torch, "randint", lambda low, high, size: torch.tensor(ahead))
    return [(i + steps) % len(ahead) for i, steps in enumerate(ahead)]


def test_loss_and_gradient_equal_loops(monkeypatch):
    output = make_output(1)
    partner = partners(monkeypatch, 2, 1, 1)
    loss = built(ALL_PIXELS).extra_losses(output, TARGETS, ONE_EACH)["empty"]
    expected = 2.0 * naive(output, ONE_EACH, TARGETS, partner)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    inputs = (output.query_embed, output.pixel_embed)
    ours, theirs = (torch.autograd.grad(term, inputs) for term in (loss, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-9)
        assert b.any()


def test_several_queries_of_an_instance_count_by_their_weights(monkeypatch):
    output = make_output(2, batch=2)
    partner = partners(monkeypatch, 1, 1)
    rows = torch.tensor([[0, 0, 0, 1], [0, -1, 1, -1]])
    weights = torch.tensor([[0.5, 0.2, 0.3, 1.0], [1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    several = Assignment(rows, weights)
    targets = make_targets([2, 1], [0, 2])
    loss = built(ALL_PIXELS).extra_losses(output, targets, several)["empty"]
    torch.testing.assert_close(loss.double(), 2.0 * naive(output, several, targets, partner), rtol=1e-6, atol=0)


def test_a_thing_of_class_0_is_supervised_and_stuff_is_not():
    output = make_output(3, batch=2)
    for classes, supervised in (([0], True), ([1], False), ([2], True)):
        assignment = Assignment(torch.tensor([[0, -1, -1, -1]] * 2), torch.tensor([[1.0, 0, 0, 0]] * 2))
        loss = built(ALL_PIXELS).extra_losses(output, make_targets(classes, classes), assignment)["empty"]
        assert bool(loss > 0) == supervised
        assert loss.requires_grad  # also without a thing


def test_no_segment_at_all_leaves_a_connected_zero():
    output = make_output(4, batch=2)
    nothing = Assignment(torch.full((2, N), -1), torch.zeros(2, N))
    loss = built(ALL_PIXELS).extra_losses(output, make_targets([], []), nothing)["empty"]
    assert loss == 0
    assert all(g is not None for g in torch.autograd.grad(loss, (output.query_embed, output.pixel_embed)))


@pytest.mark.parametrize("shared", [False, True], ids=["pixels of each layer", "shared pixels"])
def test_every_output_but_the_first_layer_is_supervised(monkeypatch, shared):
    layers = (make_output(5, batch=2), make_output(6, batch=2))
    if shared:
        layers = tuple(replace(layer, pixel_embed=layers[0].pixel_embed) for layer in layers)
    output = make_output(7, batch=2, layers=layers)
    if shared:
        output = replace(output, pixel_embed=layers[0].pixel_embed)
    targets, partner = make_targets([0], [2]), partners(monkeypatch, 1, 1)
    own = [
        Assignment(rows, (rows >= 0).double())
        for rows in (ROWS[[2, 2]], ROWS[[2, 2]].roll(1, 1), ROWS[[2, 2]].roll(2, 1))
    ]
    assignment = replace(own[2], layers=(own[0], own[1]))
    loss = built(ALL_PIXELS).extra_losses(output, targets, assignment)["empty"]
    expected = naive(layers[1], own[1], targets, partner) + naive(output, own[2], targets, partner)
    torch.testing.assert_close(loss.double(), 2.0 * expected, rtol=1e-6, atol=0)
    inputs = (layers[1].query_embed, output.query_embed, layers[1].pixel_embed, output.pixel_embed)
    for found, wanted in zip(
        torch.autograd.grad(loss, inputs, retain_graph=True), torch.autograd.grad(2.0 * expected, inputs), strict=True
    ):
        torch.testing.assert_close(found, wanted.to(found.dtype), rtol=1e-4, atol=1e-6)
    without_layers = built(replace(ALL_PIXELS, skip_layers=3)).extra_losses(output, targets, assignment)["empty"]
    torch.testing.assert_close(
        without_layers.double(), 2.0 * naive(output, own[2], targets, partner), rtol=1e-6, atol=0
    )


def test_points_of_a_constant_map_give_the_loss_of_all_pixels():
    """At border points half of the bilinear weight lies outside, so the map is large."""
    output = make_output(8, batch=2)
    flat = replace(output, pixel_embed=output.pixel_embed[:, :, :1, :1].expand(-1, -1, 400, 400))
    targets, assignment = make_targets([0], [2]), Assignment(ROWS[[2, 2]], (ROWS[[2, 2]] >= 0).double())
    exact, drawn = (
        built(replace(ALL_PIXELS, points=p)).extra_losses(flat, targets, assignment)["empty"] for p in (0, 4000)
    )
    torch.testing.assert_close(exact, drawn, rtol=2e-2, atol=0)


def test_masks_that_pass_a_norm_pass_it_here(monkeypatch):
    partner = partners(monkeypatch, 1, 1)
    output = make_output(9, batch=2)
    targets, assignment = make_targets([0], [2]), Assignment(ROWS[[2, 2]], (ROWS[[2, 2]] >= 0).double())
    scaled = replace(output, mask_affine=(torch.tensor([0.5]), torch.tensor([-1.0])))
    loss = built(ALL_PIXELS).extra_losses(scaled, targets, assignment)["empty"]
    column = torch.cat([output.query_embed * 0.5, torch.full((2, N, 1), -1.0)], dim=2)
    by_hand = replace(
        output, query_embed=column, pixel_embed=torch.cat([output.pixel_embed, torch.ones(2, 1, *SIZE)], dim=1)
    )
    torch.testing.assert_close(loss.double(), 2.0 * naive(by_hand, assignment, targets, partner), rtol=1e-6, atol=0)


def test_partners():
    technique = built(ALL_PIXELS)
    seen = [technique._partners(4) for _ in range(300)]
    for image in range(4):
        assert {draw[image] for draw in seen} == {0, 1, 2, 3} - {image}
    assert built(replace(ALL_PIXELS, partner="pairs"))._partners(4) == [1, 0, 3, 2]


def test_images_without_a_partner_are_refused():
    one = Assignment(ROWS[:1], ONE_EACH.weights[:1])
    with pytest.raises(UserError, match=r"needs a second image .*training\.device_batch"):
        built(ALL_PIXELS).extra_losses(make_output(1, batch=1), make_targets([0]), one)
    with pytest.raises(UserError, match=r"cannot pair 3 images"):
        built(replace(ALL_PIXELS, partner="pairs")).extra_losses(make_output(1), TARGETS, ONE_EACH)


def test_weight_0_builds_nothing_and_draws_no_random_number():
    state = torch.random.get_rng_state()
    assert not build_techniques(TechniquesConfig(intra_batch=IntraBatchConfig(weight=0.0)), FakeModel(), TAXONOMY)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_pairs_across_processes_equal_pairs_in_one_batch():
    """Three processes of one image each; the third has no thing, yet nobody waits for ever."""
    whole = make_output(1)
    ring = [1, 2, 0]
    terms = [naive_of(whole, image, ring) for image in range(3)]
    gradients = torch.autograd.grad(2.0 * sum(terms), (whole.query_embed, whole.pixel_embed), allow_unused=True)
    for image, found in enumerate(in_processes(_one_of_three, count=3)):
        torch.testing.assert_close(
            found["loss"].double(), 2.0 * torch.as_tensor(terms[image]).double(), rtol=1e-6, atol=1e-9
        )
        torch.testing.assert_close(found["query"][0], gradients[0][image], rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(found["pixel"][0], gradients[1][image], rtol=1e-5, atol=1e-9)


def naive_of(output: MaskOutput, image: int, partner: list[int]):
    alone = Assignment(torch.where(torch.arange(3)[:, None] == image, ROWS, -1), ONE_EACH.weights)
    things = any(TAXONOMY.classes[int(TARGETS.classes[image, r])].is_thing for r in ROWS[image] if r >= 0)
    return naive(output, alone, TARGETS, partner) if things else torch.zeros(())


def _one_of_three(rank: int) -> dict[str, torch.Tensor]:
    whole = make_output(1)
    parts = {"query_embed": whole.query_embed, "pixel_embed": whole.pixel_embed}
    own = {name: part[rank : rank + 1].detach().requires_grad_() for name, part in parts.items()}
    output = replace(whole, class_logits=whole.class_logits[rank : rank + 1], **own)
    targets = make_targets(*[TARGETS.classes[i][TARGETS.classes[i] >= 0].tolist() for i in range(3)][rank : rank + 1])
    assignment = Assignment(ROWS[rank : rank + 1], ONE_EACH.weights[rank : rank + 1])
    technique = built(replace(ALL_PIXELS, pairs_across_processes=True))
    loss = technique.extra_losses(output, targets, assignment)["empty"]
    loss.backward()
    return {"loss": loss.detach(), "query": output.query_embed.grad, "pixel": output.pixel_embed.grad}
