"""Overlapping instances and a class per pixel, from tiles of mask probabilities of any kind.

Both take the probabilities as an iterator, so a map of all queries never exists at full resolution.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.predictions import Instance
from pantile.merge.instance_masks import Candidate, MaskStrip, instances_of_strips
from pantile.merge.mask_tiles import MaskTile


def most_voted_classes(tiles: Iterable[MaskTile], class_probability: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Queries vote for classes: the largest sum over queries of class probability times mask probability.

    Args:
        tiles: cover a grid of ``size``, N queries each.
        class_probability: (N, K) 0..1, without no-object.
        size: (H, W)

    Returns:
        (H, W) int32 class index, the smallest of equals.
    """
    classes = np.empty(size, np.int32)
    for tile in tiles:
        votes = class_probability.T.to(tile.probability.dtype) @ tile.probability  # (r, K, c)
        winner = votes.max(dim=1).indices
        rows, columns = winner.shape
        classes[tile.top : tile.top + rows, tile.left : tile.left + columns] = winner.cpu().numpy()
    return classes


def instances_of(
    strips: Iterable[MaskTile], candidates: list[Candidate], size: tuple[int, int], mask_threshold: float = 0.5
) -> tuple[Instance, ...]:
    """Masks and scores of the candidates.

    An instance's score is its candidate's times the mean mask probability inside the mask. A mask without a pixel is
    no instance.

    Args:
        strips: whole columns of the image, from left to right, as tiles of a transposed grid: ``probability`` is
            (columns, Q, H). Their Q queries are those of ``distinct_queries(candidates)``, in that order.
        candidates: in any order.
        size: (H, W)
        mask_threshold: a pixel is inside where the probability is greater.

    Returns:
        From the highest score to the lowest, equals in the order of the candidates.
    """
    seen = (measured(strip, mask_threshold) for strip in strips)
    return instances_of_strips(seen, candidates, size)


def measured(strip: MaskTile, mask_threshold: float) -> MaskStrip:
    """What lies inside of each mask of a strip whose probabilities are above the threshold."""
    inside = strip.probability > mask_threshold
    sums = (strip.probability * inside).sum(dim=(0, 2), dtype=torch.float64)
    return MaskStrip(strip.top, inside.transpose(0, 1).flatten(1).cpu().numpy(), sums.cpu().numpy())
