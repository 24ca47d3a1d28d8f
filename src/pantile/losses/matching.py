"""Bipartite matching of queries to ground-truth segments, for a whole batch of costs at once."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def hungarian(cost: Tensor, valid: Tensor, names: Sequence[str] = (), term: str = "matching cost") -> Tensor:
    """The assignment of least total cost, at most one query per row and one row per query.

    All costs reach the host in one transfer; several layers' costs may be stacked along the first dimension.

    Args:
        cost: (B, N, G), the cost of query n for row g.
        valid: (B, G) bool; other rows are never matched.
        names: what to call the B entries in an error message.
        term: what to call the cost in an error message.

    Returns:
        (B, G) int64: the query of each row, or -1 for a row that is not valid or that found no query because there
        are more valid rows than queries.

    Raises:
        FloatingPointError: a cost of a valid row is NaN or infinite.
    """
    packed = torch.cat([cost.detach(), valid[:, None, :].to(cost.dtype)], dim=1).cpu().numpy()
    cost_host, valid_host = packed[:, :-1], packed[:, -1] > 0
    query_of_row = np.full(valid_host.shape, -1, dtype=np.int64)
    broken = []
    for entry, (entry_cost, entry_valid) in enumerate(zip(cost_host, valid_host, strict=True)):
        rows = np.flatnonzero(entry_valid)
        wanted = entry_cost[:, rows]
        if not np.isfinite(wanted).all():
            broken.append(str(names[entry]) if entry < len(names) else f"number {entry}")
            continue
        queries, columns = linear_sum_assignment(wanted)
        query_of_row[entry, rows[columns]] = queries
    if broken:
        raise FloatingPointError(f"The {term} is not finite for image {', '.join(broken)}.")
    return torch.from_numpy(query_of_row).to(cost.device, non_blocking=True)


def rows_to_queries(values: Tensor, matching: Tensor, num_queries: int, fill: float) -> Tensor:
    """Moves a value per row to the query that the row is matched with.

    Args:
        values: (B, G).
        matching: (B, G) query of each row, -1 where there is none.
        num_queries: N.
        fill: the value of unmatched queries.

    Returns:
        (B, N), of the type of ``values``.
    """
    slots = values.new_full((values.shape[0], num_queries + 1), fill)  # the last slot collects unmatched rows
    return slots.scatter(1, torch.where(matching < 0, num_queries, matching), values)[:, :num_queries]


def drop_unmatched(index: Tensor, matching: Tensor) -> Tensor:
    """Makes the pixels of unmatched rows void.

    Args:
        index: (B, h, w) row per pixel, -1 on void.
        matching: (B, G).

    Returns:
        (B, h, w) int64.
    """
    unmatched = torch.cat([matching.new_full((matching.shape[0], 1), -1), matching], dim=1) < 0
    return torch.where(unmatched.gather(1, index.flatten(1) + 1).view_as(index), -1, index)


def one_hot_rows(flat: Tensor, rows: int, dtype: torch.dtype, with_void: bool = False) -> Tensor:
    """(B, P) row per pixel, -1 on void, to (B, rows, P) of 0 and 1; ``with_void`` puts the void pixels first."""
    numbers = torch.arange(-1 if with_void else 0, rows, device=flat.device)
    return (flat[:, None] == numbers[:, None]).to(dtype)
