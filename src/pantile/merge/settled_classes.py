"""The class that queries vote for, of all pixels between a few logits at once.

A pixel's logits lie between the least and the greatest of those that reach it, so its votes for a class do, too. Where
the least votes for one class exceed the greatest for any other, that class has won, whatever the pixel itself
says. This takes two maps at the size of the logits; at the size of the image, only what they leave open is voted on.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pantile.merge.mask_bounds import RELATIVE, Window
from pantile.merge.resampling import Grid

_OPEN = -1
_ROWS = 8  # of the logits at a time, so that they stay in a core's cache
_LEAST_VOTES = 1e-20  # below, float32 may have lost some of them
_WORTH = 4  # pixels per logit, from which on two maps of bounds cost less than they save


def settled_classes(
    mask_logits: Tensor, class_probability: Tensor, grid: Grid, of_logits: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """
    Args:
        mask_logits: (N, h, w) floating.
        class_probability: (N, K) 0..1.
        grid: from the logits to the image.
        of_logits: a rising function, from resized logits to how much a query votes.

    Returns:
        (H, W) int32 class index, -1 where only the pixel itself can tell.
    """
    height, width = mask_logits.shape[-2:]
    classes = np.full(grid.size, _OPEN, np.int32)
    if classes.size < _WORTH * height * width:
        return classes
    (row_of, rows), (column_of, columns) = (_reach(axis) for axis in (grid.rows, grid.columns))
    probability = class_probability.T.float()
    winners = np.full((height - rows + 1, width - columns + 1), _OPEN, np.int32)
    for top in range(0, len(winners), _ROWS):
        bottom = min(top + _ROWS, len(winners))
        values = of_logits(mask_logits[:, top : bottom + rows - 1].float())
        least, greatest = (
            (probability @ _extreme(values, rows, columns, extreme).flatten(1))
            for extreme in (torch.minimum, torch.maximum)
        )
        best, winner = least.max(dim=0)
        rival = greatest.scatter_(0, winner[None], 0.0).amax(dim=0)
        won = (best * (1 - RELATIVE) > rival) & (best > _LEAST_VOTES)
        winners[top:bottom] = torch.where(won, winner, _OPEN).reshape(bottom - top, -1).cpu().numpy()
    return winners[row_of[:, None], column_of]


def open_windows(classes: np.ndarray) -> Callable[[Window], bool]:
    """Whether a pixel of a window is open."""
    return lambda window: bool((classes[window] == _OPEN).any())


def _reach(weights: Tensor) -> tuple[np.ndarray, int]:
    """Of each pixel of an axis, the first of as many entries as any pixel sees, among them all that it sees itself; and
    how many those are."""
    used = (weights != 0).numpy()
    first, last = used.argmax(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)
    reach = int((last - first).max()) + 1
    return np.minimum(first, used.shape[1] - reach), reach


def _extreme(values: Tensor, rows: int, columns: int, extreme: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(N, h, w) to (N, h - rows + 1, w - columns + 1): the extreme of every ``rows`` x ``columns`` neighbours."""
    for axis, count in ((1, rows), (2, columns)):
        size = values.shape[axis] - count + 1
        result = values.narrow(axis, 0, size)
        for step in range(1, count):
            result = extreme(result, values.narrow(axis, step, size))
        values = result
    return values
