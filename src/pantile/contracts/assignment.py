"""Assignment: which ground truth each query of an output answers for."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Assignment:
    """What a criterion decided: the row of ``PanopticTargets`` that each query is compared with.

    Attributes:
        rows: (B, N) int64 row of the targets' table, -1 for a query without one. A row may have several queries
            (Panoptic FCN) or none.
        weights: (B, N) float32, 0 for a query without a row; those of a row's queries add up to 1
            and may carry a gradient.
        layers: the same for each earlier layer output, first layer first.
    """

    rows: Tensor
    weights: Tensor
    layers: tuple["Assignment", ...] = ()

    def query_of_row(self, num_rows: int) -> Tensor:
        """(B, num_rows) int64: the first query of each row, -1 where there is none."""
        wanted = torch.arange(num_rows, device=self.rows.device)
        is_of_row = self.rows[:, :, None] == wanted  # (B, N, num_rows)
        return torch.where(is_of_row.any(dim=1), is_of_row.int().argmax(dim=1), -1)


def one_to_one(matching: Tensor, num_queries: int, layers: tuple[Assignment, ...] = ()) -> Assignment:
    """The assignment of a bipartite matching.

    Args:
        matching: (B, G) query of each row, -1 where there is none.
        num_queries: N.
    """
    batch, num_rows = matching.shape
    rows = matching.new_full((batch, num_queries + 1), -1)  # the last slot collects rows without a query
    own = torch.arange(num_rows, device=matching.device).expand(batch, -1)
    rows = rows.scatter(1, torch.where(matching < 0, num_queries, matching), own)[:, :num_queries]
    return Assignment(rows, (rows >= 0).float(), layers)
