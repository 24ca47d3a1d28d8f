"""Assignments against loops over rows and queries."""

import torch

from pantile.contracts.assignment import one_to_one


def test_a_matching_turned_round():
    matching = torch.tensor([[2, -1, 0, -1], [-1, 3, -1, 1]])  # rows to queries, two images
    assignment = one_to_one(matching, num_queries=5)
    for image in range(2):
        for query in range(5):
            rows = [row for row in range(4) if matching[image, row] == query]
            assert assignment.rows[image, query] == (rows[0] if rows else -1)
            assert assignment.weights[image, query] == len(rows)
    assert torch.equal(assignment.query_of_row(4), matching)


def test_no_row_at_all():
    assignment = one_to_one(torch.empty(2, 0, dtype=torch.int64), num_queries=3)
    assert (assignment.rows == -1).all() and not assignment.weights.any()
    assert assignment.query_of_row(0).shape == (2, 0)
