"""Sine encoding of pixel positions (DETR, arXiv:2005.12872), and a cache for tensors that only sizes decide."""

import math
from collections.abc import Callable
from functools import lru_cache, wraps

import torch
from torch import Tensor

Sizes = tuple[tuple[int, int], ...]


def cached_by_arguments(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Keeps the last few results of a function whose arguments can be hashed; the results must not be written to.

    The tensors belong to no module, so they are in no state dict. Tracing (compile, export) computes afresh, since
    a traced tensor means nothing outside its trace.
    """

    @lru_cache(maxsize=8)
    def make_once(*arguments: object) -> Tensor:
        with torch.inference_mode(False):  # else training could not use what an inference run has cached
            return make(*arguments)

    @wraps(make)
    def made(*arguments: object) -> Tensor:
        return make(*arguments) if torch.compiler.is_compiling() else make_once(*arguments)

    return made


@cached_by_arguments
def sine_positions(sizes: Sizes, channels: int, device: torch.device) -> Tensor:
    """Sines and cosines of each pixel's row and column at frequencies 10000^(-2i / (channels / 2)).

    Coordinates count from 1 and are scaled so that the last row or column is 2 pi.

    Args:
        sizes: (h, w) of each map.
        channels: C, a multiple of four.
        device: of the result.

    Returns:
        (sum of h w, C) float32: the maps one after the other, each row by row; the first half of the channels encodes
        the row, the second half the column.
    """
    half = channels // 2
    maps = []
    for height, width in sizes:
        rows = _encoded(height, half, device)[:, None].expand(height, width, half)
        columns = _encoded(width, half, device)[None].expand(height, width, half)
        maps.append(torch.cat([rows, columns], dim=2).flatten(0, 1))
    return torch.cat(maps)


@cached_by_arguments
def sine_times(frames: int, channels: int, device: torch.device) -> Tensor:
    """The same of the frames of a clip, the last of which is 2 pi (Cheng et al. 2021, arXiv:2112.10764).

    Args:
        frames: T.
        channels: C, a multiple of two.
        device: of the result.

    Returns:
        (T, C) float32.
    """
    return _encoded(frames, channels, device)


def _encoded(length: int, channels: int, device: torch.device) -> Tensor:
    """(length, channels): sines and cosines of the coordinates 1..length, scaled to 2 pi."""
    frequency = 10000 ** (2 * torch.arange(channels // 2, device=device, dtype=torch.float32) / channels)
    coordinate = torch.arange(1, length + 1, device=device, dtype=torch.float32)
    angle = (coordinate / (length + 1e-6) * 2 * math.pi)[:, None] / frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
