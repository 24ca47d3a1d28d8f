"""Semantic losses against loops over pixels."""

import naive_losses
import pytest
import torch

from pantile.contracts.targets import MaskTargets
from pantile.losses import sampled_semantic_loss, semantic_loss

C = 4


def grids():
    index = torch.randint(-1, 3, (3, 4, 5), generator=torch.Generator().manual_seed(2))
    index[1] = -1
    return index, torch.tensor([[0, 2, 3], [1, 1, 1], [3, 0, 0]])


def naive(logits, index, labels, kind):
    terms = []
    for image in range(len(index)):
        grid = [[None if g < 0 else int(g) for g in row] for row in index[image]]
        terms.append(naive_losses.semantic_term(logits[image], grid, dict(enumerate(labels[image].tolist())), kind))
    return sum(terms) / len(terms)


def assert_same(loss, expected, logits):
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.autograd.grad(expected, logits)[0])


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_all_pixels(kind):
    index, labels = grids()
    logits = torch.randn(3, C, 4, 5, dtype=torch.float64, requires_grad=True)
    semantic = MaskTargets(index, labels).semantic()
    assert_same(semantic_loss(logits, semantic, kind), naive(logits, index, labels, kind), logits)


def test_drawn_pixels_are_the_ones_that_count():
    """Few pixels with one label, the rest void: any draw must find them all and average over them alone."""
    index, labels = grids()
    index[0] = -1
    index[0, 0, :3] = 1
    index[2] = -1
    index[2, 3, 3] = 0
    logits = torch.randn(3, C, 4, 5, dtype=torch.float64, requires_grad=True)
    loss = sampled_semantic_loss(logits, MaskTargets(index, labels), 6, 2.0)
    assert_same(loss, naive(logits, index, labels, "softmax"), logits)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_everything_void_costs_nothing(kind):
    logits = torch.randn(2, C, 3, 3, requires_grad=True)
    loss = semantic_loss(logits, torch.full((2, 3, 3), -1), kind)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_half_precision_logits_give_a_float32_loss():
    with torch.autocast("cpu", torch.bfloat16):
        assert semantic_loss(torch.randn(1, C, 3, 3).bfloat16(), torch.zeros(1, 3, 3).long()).dtype == torch.float32
