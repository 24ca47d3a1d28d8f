"""Matching against trying every assignment."""

from itertools import permutations

import pytest
import torch

from pantile.losses import drop_unmatched, hungarian, rows_to_queries


def cheapest(cost, rows):
    queries = cost.shape[0]
    if len(rows) <= queries:
        pairings = [dict(zip(rows, q, strict=True)) for q in permutations(range(queries), len(rows))]
    else:
        pairings = [dict(zip(r, range(queries), strict=True)) for r in permutations(rows, queries)]
    return min(pairings, key=lambda pairing: sum(float(cost[q, g]) for g, q in pairing.items()))


@pytest.mark.parametrize(("queries", "rows"), [(4, 3), (3, 3), (2, 5), (4, 1), (3, 0)])
def test_equals_the_cheapest_of_all_assignments(queries, rows):
    generator = torch.Generator().manual_seed(queries * 10 + rows)
    cost = torch.rand(6, queries, rows, generator=generator)
    valid = torch.rand(6, rows, generator=generator) < 0.7
    valid[0] = False
    valid[1] = True
    matching = hungarian(cost, valid)
    assert matching.dtype == torch.int64
    for image in range(6):
        usable = [g for g in range(rows) if valid[image, g]]
        expected = cheapest(cost[image], usable)
        assert {g: int(q) for g, q in enumerate(matching[image]) if q >= 0} == expected


def test_a_batch_of_two_copies_gives_twice_the_same():
    cost = torch.rand(1, 5, 3)
    valid = torch.ones(1, 3, dtype=torch.bool)
    both = hungarian(cost.repeat(2, 1, 1), valid.repeat(2, 1))
    assert torch.equal(both, hungarian(cost, valid).repeat(2, 1))


def test_rows_that_are_not_valid_may_hold_anything():
    cost = torch.rand(1, 3, 2)
    cost[0, :, 1] = torch.nan
    assert hungarian(cost, torch.tensor([[True, False]]))[0, 1] == -1


def test_names_the_images_whose_cost_is_not_finite():
    cost = torch.rand(3, 2, 2)
    cost[1, 0, 1] = torch.inf
    cost[2, 1, 1] = torch.nan
    with pytest.raises(FloatingPointError, match=r"The dice cost is not finite for image b, c\."):
        hungarian(cost, torch.ones(3, 2, dtype=torch.bool), ["a", "b", "c"], term="dice cost")


def test_values_travel_from_rows_to_queries():
    matching = torch.tensor([[2, -1, 0], [-1, -1, 3]])
    values = torch.tensor([[7, 8, 9], [4, 5, 6]])
    assert rows_to_queries(values, matching, 4, -5).tolist() == [[9, -5, 7, -5], [-5, -5, -5, 6]]
    assert rows_to_queries(values[:, :0], matching[:, :0], 2, 1).tolist() == [[1, 1], [1, 1]]


def test_pixels_of_unmatched_rows_become_void():
    index = torch.tensor([[[0, 1], [2, -1]]])
    assert drop_unmatched(index, torch.tensor([[5, -1, 0]])).tolist() == [[[0, -1], [2, -1]]]
    assert drop_unmatched(torch.full((1, 1, 2), -1), torch.empty(1, 0, dtype=torch.int64)).tolist() == [[[-1, -1]]]
