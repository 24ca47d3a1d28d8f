"""Maps cut into windows and put together again, in sizes that stay short formulas where a graph takes many.

A padding of ``-height % window`` holds a remainder, and every layer after it remainders of remainders: tracing Swin did
not end in a quarter of an hour. The number of windows is one division, and all other sizes are multiples of it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.layers.rounding import ceil_div


def window_counts(size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int]:
    """How many windows cover (height, width)."""
    return ceil_div(size[0], window[0]), ceil_div(size[1], window[1])


def pad_to_windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """(B, H, W, C) with zeros at the bottom and the right, to whole windows."""
    height, width = x.shape[1:3]
    rows, columns = window_counts((height, width), window)
    return F.pad(x, (0, 0, 0, columns * window[1] - width, 0, rows * window[0] - height))


def to_windows(x: Tensor, window: tuple[int, int], counts: tuple[int, int]) -> Tensor:
    """(B, rows * h, columns * w, C), of ``counts`` = (rows, columns) windows, to (B * rows * columns, h * w, C)."""
    batch, channels = x.shape[0], x.shape[3]
    grid = x.view(batch, counts[0], window[0], counts[1], window[1], channels)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(batch * counts[0] * counts[1], window[0] * window[1], channels)


def from_windows(windows: Tensor, window: tuple[int, int], counts: tuple[int, int], batch: int) -> Tensor:
    """(B * rows * columns, h * w, C) to (B, rows * h, columns * w, C)."""
    grid = windows.view(batch, counts[0], counts[1], window[0], window[1], windows.shape[2])
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(batch, counts[0] * window[0], counts[1] * window[1], -1)


def without_padding(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H', W', C) to the (height, width) at the top and the left."""
    if not torch.compiler.is_exporting():
        return x[:, : size[0], : size[1]]
    # Of a slice, torch asks whether it is the whole, and takes the answer at the size of the trace for a rule.
    for axis, length in enumerate(size, start=1):
        x = x.index_select(axis, torch.arange(length, device=x.device))
    return x
