"""Softened class targets compose: no order, no grouping, and the weights of one mix alone."""

import itertools
from functools import reduce

import pytest
import torch

from pantile.contracts.outputs import LabelMix, MaskOutput

SOFT = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
WEIGHTS = (0.1, 0.3, 0.05)


def mixes(weights=WEIGHTS) -> list[LabelMix]:
    return [LabelMix(soft, weight) for soft, weight in zip(SOFT, weights, strict=True)]


def together(parts) -> LabelMix:
    return reduce(LabelMix.mixed_with, parts)


@pytest.mark.parametrize("weights", [WEIGHTS, (0.1, 0.1, 0.1), (0.0, 0.3, 0.0), (1.0, 0.3, 0.2), (1.0, 0.0, 0.5)])
def test_the_order_and_the_grouping_do_not_matter(weights):
    first = together(mixes(weights))
    for order in itertools.permutations(mixes(weights)):
        left, right = together(order), order[0].mixed_with(order[1].mixed_with(order[2]))
        for other in (left, right):
            assert other.weight == pytest.approx(first.weight, abs=1e-12)
            torch.testing.assert_close(other.soft, first.soft)


def test_what_is_left_of_the_one_hot_target_is_the_product_of_what_each_leaves():
    """The weight of two mixes of 0.1, where the later one used to replace the earlier, is 0.19."""
    assert together(mixes((0.1, 0.1, 0.0))).weight == pytest.approx(0.19)
    assert together(mixes()).weight == pytest.approx(1 - 0.9 * 0.7 * 0.95)


def test_a_mix_is_what_infinitely_many_small_alternating_steps_lead_to():
    """The meaning of the share: each mix cut into n equal steps, applied in turns to a one-hot target."""
    a, b = LabelMix(SOFT[0].double(), 0.4), LabelMix(SOFT[1].double(), 0.15)
    one_hot = torch.zeros_like(a.soft)
    one_hot[..., 2] = 1
    target, n = one_hot, 4000
    for _ in range(n):
        for mix in (a, b):
            step = 1 - (1 - mix.weight) ** (1 / n)
            target = (1 - step) * target + step * mix.soft
    mixed = a.mixed_with(b)
    torch.testing.assert_close((1 - mixed.weight) * one_hot + mixed.weight * mixed.soft, target, atol=1e-4, rtol=0)


def test_an_output_keeps_the_mix_that_it_has():
    none = torch.zeros(2, 4, 6)
    output = MaskOutput(none, none[..., None], none, none[..., None], none[..., None])
    first, second, _ = mixes()
    both = output.softened(first).softened(second)
    torch.testing.assert_close(both.label_mix.soft, first.mixed_with(second).soft)
    assert output.label_mix is None and output.softened(first).label_mix is first
