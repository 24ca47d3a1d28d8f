"""Bilinear resampling of network maps to the resolution of a loss, and of single pixels of them.

Sizes of the form 32k+1 have aligned corners at every stride, so an odd target height means aligned corners and an
even one does not.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.precision import in_float32


def corners_aligned(size: tuple[int, int]) -> bool:
    """The resampling rule for a target size (h, w)."""
    return size[0] % 2 == 1


def resize_bilinear(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) to (B, C, *size)."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=corners_aligned(size))


@in_float32
def sample_pixels(maps: Tensor, size: tuple[int, int], pixels: Tensor) -> Tensor:
    """The values that ``resize_bilinear(maps, size)`` would have at some pixels, without resizing the rest.

    Args:
        maps: (B, C, h, w).
        size: (H, W), the resolution that ``pixels`` refers to.
        pixels: (B, k) int64, flat positions y * W + x, 0..H*W-1.

    Returns:
        (B, k, C).
    """
    batch, channels, h, w = maps.shape
    if (h, w) == tuple(size):
        return maps.flatten(2).gather(2, pixels[:, None].expand(-1, channels, -1)).transpose(1, 2)
    aligned = corners_aligned(size)
    top, bottom, down = _taps(h, size[0], aligned, maps.device)
    left, right, across = _taps(w, size[1], aligned, maps.device)
    y, x = pixels // size[1], pixels % size[1]
    first = torch.arange(batch, device=maps.device)[:, None] * (h * w)
    corners = [first + row * w + column for row in (top[y], bottom[y]) for column in (left[x], right[x])]
    shares = [a * b for a in (1 - down[y], down[y]) for b in (1 - across[x], across[x])]
    table = maps.permute(0, 2, 3, 1).reshape(batch * h * w, channels)
    values = F.embedding_bag(
        torch.stack(corners, -1).view(-1, 4),
        table,
        per_sample_weights=torch.stack(shares, -1).view(-1, 4).to(maps.dtype),
        mode="sum",
    )
    return values.view(batch, -1, channels)


def resize_matrix(source: int, target: int, aligned: bool, like: Tensor) -> Tensor:
    """(target, source): bilinear resampling of one axis as a matrix, of the type and on the device of ``like``."""
    return _matrix(source, target, aligned, like.dtype, like.device)


@lru_cache(maxsize=256)
def source_spans(source: int, target: int, aligned: bool, step: int) -> tuple[tuple[int, int], ...]:
    """For each ``step`` target positions, the range (first, behind) of source positions that reach them.

    Known from the sizes alone, so that nobody has to wait for a GPU to look at a matrix.
    """
    low, high, _ = _taps(source, target, aligned, torch.device("cpu"))
    starts = range(0, target, step)
    return tuple((int(low[s : s + step].min()), int(high[s : s + step].max()) + 1) for s in starts)


@lru_cache(maxsize=256)
def _matrix(source: int, target: int, aligned: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        low, high, share = _taps(source, target, aligned, torch.device("cpu"))
        matrix = torch.zeros(target, source, dtype=torch.float64)
        matrix.scatter_add_(1, low[:, None], 1 - share[:, None])
        matrix.scatter_add_(1, high[:, None], share[:, None])
        return matrix.to(device, dtype)


@lru_cache(maxsize=256)
def _taps(source: int, target: int, aligned: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each target position: lower and upper source position and the share of the upper one (float64)."""
    with torch.inference_mode(False):
        steps = torch.arange(target, dtype=torch.float64)
        if aligned:
            position = steps * ((source - 1) / max(target - 1, 1))
        else:
            position = ((steps + 0.5) * (source / target) - 0.5).clamp(min=0)
        low = position.floor().long().clamp(max=source - 1)
        high, share = (low + 1).clamp(max=source - 1), position - low
        return low.to(device), high.to(device), share.to(device)
