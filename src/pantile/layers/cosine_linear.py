"""Linear layer without bias on directions alone: both the vector and each row of the weight have unit length."""

import torch.nn.functional as F
from torch import Tensor, nn


class CosineLinear(nn.Linear):
    """(..., C) -> (..., K) cosines, -1..1"""

    def __init__(self, in_features: int, out_features: int):
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))
