"""PQ-style similarity, weights and losses, one function at a time."""

import math

import naive_losses
import pytest
import torch

from pantile.contracts.outputs import LabelMix
from pantile.contracts.targets import MaskTargets
from pantile.losses import (
    class_loss,
    dice_loss,
    false_positive_negative,
    mask_id_loss,
    mask_losses,
    pq_similarity,
    pq_weights,
)

N, K, G = 5, 3, 4


@pytest.fixture
def batch():
    """Two images of 4 x 4; row 3 of image 0 and rows 1 to 3 of image 1 hold no mask."""
    g = torch.Generator().manual_seed(0)
    index = torch.randint(-1, 3, (2, 4, 4), generator=g)
    index[1] = torch.where(index[1] > 0, -1, index[1])
    labels = torch.tensor([[0, 2, 1, -1], [1, -1, -1, -1]])
    masks = torch.randn(2, N, 4, 4, generator=g, dtype=torch.float64, requires_grad=True)
    classes = torch.randn(2, N, K + 1, generator=g, dtype=torch.float64, requires_grad=True)
    matching = torch.tensor([[4, 0, 2, -1], [3, -1, -1, -1]])
    return masks, classes, MaskTargets(index, labels), matching


def per_image(targets, image):
    grid = [[None if g < 0 else int(g) for g in row] for row in targets.index[image]]
    return grid, {g: int(label) for g, label in enumerate(targets.labels[image]) if label >= 0}


def pairing_of(matching):
    return {g: int(q) for g, q in enumerate(matching) if q >= 0}


def test_similarity_and_weights(batch):
    masks, classes, targets, matching = batch
    similarity = pq_similarity(masks, classes, targets)
    weights = pq_weights(similarity, matching)
    assert not similarity.cost.requires_grad
    for image in range(2):
        grid, labels = per_image(targets, image)
        dice, probability, void = naive_losses.similarity(masks[image].detach(), classes[image].detach(), grid, labels)
        pairing = pairing_of(matching[image])
        of_class = [max(v, 1e-5) for v in void]
        of_mask = [0.0] * G
        for g, q in pairing.items():
            of_class[q], of_mask[g] = max(dice[q][g], 1e-5), max(probability[q][g], 1e-5)
        assert weights.of_class[image].tolist() == pytest.approx(of_class, rel=1e-6)
        assert weights.of_mask[image].tolist() == pytest.approx(of_mask, rel=1e-6)
        for n in range(N):
            for g in labels:
                assert float(similarity.cost[image, n, g]) == pytest.approx(-dice[n][g] * probability[n][g], rel=1e-6)


def test_an_unmatched_query_on_labelled_pixels_weighs_almost_nothing():
    targets = MaskTargets(torch.zeros(1, 4, 4, dtype=torch.int64), torch.tensor([[0]]))
    similarity = pq_similarity(torch.zeros(1, N, 4, 4), torch.zeros(1, N, K + 1), targets)
    weights = pq_weights(similarity, torch.tensor([[1]]))
    assert weights.of_class[0, 0] == pytest.approx(1e-5)
    all_void = MaskTargets(torch.full((1, 4, 4), -1), torch.tensor([[-1]]))
    similarity = pq_similarity(torch.zeros(1, N, 4, 4), torch.zeros(1, N, K + 1), all_void)
    weights = pq_weights(similarity, torch.tensor([[-1]]))
    assert weights.of_class[0].tolist() == pytest.approx([1.0] * N, abs=1e-4)


def test_class_term_of_known_probabilities():
    """At the start of training every query says no-object with 0.9: a matched one costs log(K / 0.1)."""
    logits = torch.zeros(1, 2, K + 1)
    logits[..., -1] = math.log(K * 0.9 / 0.1)
    weights = torch.ones(1, 2)
    loss = class_loss(logits, torch.tensor([[1]]), torch.tensor([[0]]), weights)
    assert float(loss) == pytest.approx((0.75 * math.log(K / 0.1) + 0.25 * -math.log(0.9)) / 2, rel=1e-6)


def test_softened_class_targets(batch):
    masks, classes, targets, matching = batch
    soft = torch.rand(2, N, K, dtype=torch.float64)
    weights = pq_weights(pq_similarity(masks, classes, targets), matching).of_class
    loss = class_loss(classes, targets.labels, matching, weights, LabelMix(soft, 0.25))
    expected = 0
    for image in range(2):
        grid, labels = per_image(targets, image)
        dice, _, void = naive_losses.similarity(masks[image].detach(), classes[image].detach(), grid, labels)
        pairing = pairing_of(matching[image])
        expected += naive_losses.class_term(classes[image], labels, pairing, dice, void, soft[image], 0.25) / 2
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, classes)[0], torch.autograd.grad(expected, classes)[0])


def test_dice_of_known_masks():
    half, full, none = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.ones(4), torch.zeros(4)
    loss = dice_loss(torch.stack([half, full, none, none])[None], torch.stack([half, half, full, none])[None])
    assert loss[0].tolist() == pytest.approx([0.0, 1 - 5 / 7, 1 - 1 / 5, 0.0])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_mask_terms(batch, activation):
    masks, classes, targets, matching = batch
    matching = matching.clone()
    matching[0, 1] = -1  # a surplus segment
    weights = pq_weights(pq_similarity(masks, classes, targets), matching).of_mask
    dice, mask_id = mask_losses(masks, targets.index, matching, weights, activation)
    expected_dice = expected_id = 0
    for image in range(2):
        grid, labels = per_image(targets, image)
        _, probability, _ = naive_losses.similarity(masks[image].detach(), classes[image].detach(), grid, labels)
        pairing = pairing_of(matching[image])
        expected_dice += naive_losses.mask_term(masks[image], grid, pairing, probability) / 2
        expected_id += naive_losses.mask_id_term(masks[image], grid, pairing, activation) / 2
    alone = mask_id_loss(masks, targets.index, matching, activation)
    for loss, expected in ((dice, expected_dice), (mask_id, expected_id), (alone, expected_id)):
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(
            torch.autograd.grad(loss, masks, retain_graph=True)[0],
            torch.autograd.grad(expected, masks, retain_graph=True)[0],
        )


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_false_positive_and_false_negative_parts(batch, activation):
    masks, _, targets, matching = batch
    false_positive, false_negative = false_positive_negative(masks, targets.index, matching, activation)
    expected = [0.0, 0.0]
    for image in range(2):
        grid, _ = per_image(targets, image)
        labelled = [(y, x) for y, x in naive_losses.pixels_of(grid) if grid[y][x] is not None]
        for y, x in labelled:
            logits = masks[image, :, y, x].detach()
            chance = logits.sigmoid() if activation == "sigmoid" else logits.softmax(dim=0)
            for n in range(N):
                is_target = n == int(matching[image, grid[y][x]])
                part = -math.log(float(chance[n] if is_target else 1 - chance[n]))
                expected[is_target] += part / len(labelled) / 2
    assert float(false_positive) == pytest.approx(expected[0])
    assert float(false_negative) == pytest.approx(expected[1])
    loss = float(mask_id_loss(masks.detach(), targets.index, matching, activation))
    assert loss == pytest.approx(sum(expected) if activation == "sigmoid" else expected[1])


def test_sigmoid_false_positives_outweigh_softmax_ones_at_the_start():
    masks, matching = torch.zeros(1, 100, 2, 2), torch.tensor([[7]])
    index = torch.zeros(1, 2, 2, dtype=torch.int64)
    for activation, low, high in (("sigmoid", 98, 100), ("softmax", 0, 1)):
        false_positive, false_negative = false_positive_negative(masks, index, matching, activation)
        assert low <= float(false_positive / false_negative) <= high
