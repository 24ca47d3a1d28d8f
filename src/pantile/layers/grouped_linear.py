"""One output per vector, each with weights of its own (Query2Label, arXiv:2107.10834)."""

import math

from torch import Tensor, nn


class GroupedLinear(nn.Linear):
    """``y_k = w_k . x_k + b_k`` for K vectors: a linear layer whose rows look at one vector each.

    Args:
        channels: C of each vector.
        groups: K.
    """

    def __init__(self, channels: int, groups: int):
        super().__init__(channels, groups)

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, C) -> (B, K)"""
        return (x * self.weight).sum(dim=2) + self.bias
