"""Coordinate channels (Liu et al., arXiv:1807.03247): convolutions that know where they are."""

import torch
from torch import Tensor


def with_coordinates(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C + 2, h, w): y and then x, from -1 to 1 over the map; -1 in a single row or column."""
    batch, _, height, width = x.shape
    y = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None]
    along = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)[None]
    planes = torch.stack([y.expand(height, width), along.expand(height, width)])
    return torch.cat([x, planes.expand(batch, -1, -1, -1)], dim=1)
