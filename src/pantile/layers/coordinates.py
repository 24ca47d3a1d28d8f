"""Coordinate channels (Liu et al., arXiv:1807.03247): convolutions that know where they are."""

import torch
from torch import Tensor


def with_coordinates(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C + 2, h, w): y and then x, from -1 to 1 over the map; -1 in a single row or column."""
    batch, _, height, width = x.shape
    y = _from_minus_one_to_one(height, x)[:, None]
    along = _from_minus_one_to_one(width, x)[None]
    planes = torch.stack([y.expand(height, width), along.expand(height, width)])
    return torch.cat([x, planes.expand(batch, -1, -1, -1)], dim=1)


def _from_minus_one_to_one(steps: int, like: Tensor) -> Tensor:
    """(steps,) evenly spaced. ``torch.linspace`` is written into ONNX files with the number of steps of the trace."""
    index = torch.arange(steps, device=like.device, dtype=like.dtype)
    return index * (2 / index[-1:].clamp(min=1)) - 1
