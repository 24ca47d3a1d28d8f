"""The most likely class of every pixel and its probability, without a map of all classes at full resolution."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.merge.likelihood import likelihood_tiles, share_tiles
from pantile.merge.resampling import Grid

_PIXELS_AT_A_TIME = 32768


def most_likely_classes(
    semantic_logits: Tensor,
    grid: Grid,
    chunk_rows: int,
    classes: Tensor | None = None,
    resize: Literal["logits", "probabilities"] = "logits",
) -> tuple[np.ndarray, np.ndarray]:
    """Softmax and argmax of k classes at every pixel, tile by tile.

    Args:
        semantic_logits: (k, h, w) floating.
        classes: (k,) int64 class index of each channel, -1 for a channel of none; None is channel c for class c. The
            result does not depend on the order of the channels.
        resize: what is brought to the grid.

    Returns:
        (H, W) int32 class index, the smallest of equals, and (H, W) float32 softmax probability of that class.
    """
    found = np.empty(grid.size, np.int32)
    probability = np.empty(grid.size, np.float32)
    order, names = _in_class_order(semantic_logits, classes)
    tiles = likelihood_tiles if resize == "logits" else share_tiles
    for tile in tiles(semantic_logits, order, grid, chunk_rows):
        best = tile.values.amax(dim=1)
        window = (
            slice(tile.top, tile.top + best.shape[0]),
            slice(tile.left, tile.left + best.shape[1]),
        )
        found[window] = names[_first_equal(tile.values, best).cpu().numpy()]
        probability[window] = (best / tile.total).cpu().numpy()
    return found, probability


def _in_class_order(maps: Tensor, classes: Tensor | None) -> tuple[Tensor, np.ndarray]:
    """The channels (n,) from the lowest class to the highest, on the maps' device, and their classes (n,) int32."""
    if classes is None:
        return torch.arange(len(maps), device=maps.device), np.arange(len(maps), dtype=np.int32)
    order = classes.argsort()
    order = order[classes[order] >= 0].to(maps.device)
    return order, classes[order].cpu().numpy().astype(np.int32)


def _first_equal(values: Tensor, best: Tensor) -> Tensor:
    """(r, k, c) and their maxima (r, c) to the (r, c) int32 index of the first maximum.

    Arithmetic instead of ``argmax``, which on a CPU takes as long as the rest of the softmax: the shortfall of a class
    is 0 or, times the largest number, below every index.
    """
    count = values.shape[1]
    countdown = torch.arange(count - 1, -1, -1, dtype=values.dtype, device=values.device)[:, None]
    shortfall = (values - best[:, None]).mul_(torch.finfo(values.dtype).max)
    return (count - 1 - shortfall.add_(countdown).amax(dim=1)).to(torch.int32).clamp_(0, count - 1)


def probability_at(semantic_logits: Tensor, grid: Grid, pixels: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """The softmax probability of chosen channels at chosen pixels.

    Args:
        semantic_logits: (k, h, w) floating.
        pixels: (P,) flat index into the grid.
        channels: (P,) 0..k-1.

    Returns:
        (P,) float32
    """
    dtype = torch.float64 if semantic_logits.dtype == torch.float64 else torch.float32
    table = semantic_logits.flatten(1).T.to(dtype).contiguous()  # (h*w, k)
    row_index, row_weight = _taps(grid.rows)
    column_index, column_weight = _taps(grid.columns)
    result = np.empty(pixels.size, np.float32)
    for start in range(0, pixels.size, _PIXELS_AT_A_TIME):
        part = slice(start, start + _PIXELS_AT_A_TIME)
        y, x = (torch.from_numpy(i) for i in np.divmod(pixels[part], grid.size[1]))
        index = (row_index[y][:, :, None] * semantic_logits.shape[2] + column_index[x][:, None, :]).flatten(1)
        weight = (row_weight[y][:, :, None] * column_weight[x][:, None, :]).flatten(1)
        logits = F.embedding_bag(
            index.to(table.device), table, mode="sum", per_sample_weights=weight.to(table.device, dtype)
        )
        chosen = torch.from_numpy(channels[part]).long()[:, None]
        result[part] = logits.softmax(dim=1).cpu().gather(1, chosen)[:, 0].numpy()
    return result


def _taps(weights: Tensor) -> tuple[Tensor, Tensor]:
    """(n, h) with few neighbouring non-zero entries to their positions and values, each (n, t)."""
    used = (weights != 0).numpy()
    first = used.argmax(axis=1)
    count = int((weights.shape[1] - used[:, ::-1].argmax(axis=1) - first).max())
    first = torch.from_numpy(first).clamp(max=weights.shape[1] - count)
    index = first[:, None] + torch.arange(count)
    return index, weights.gather(1, index)
