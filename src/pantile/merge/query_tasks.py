"""A class per pixel, from tiles of mask probabilities of any kind.

The probabilities come as an iterator, so a map of all queries never exists at full resolution.
"""

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from pantile.merge.mask_tiles import MaskTile


def most_voted_classes(tiles: Iterable[MaskTile], class_probability: Tensor, classes: np.ndarray) -> np.ndarray:
    """Queries vote for classes: the largest sum over queries of class probability times mask probability.

    Args:
        tiles: with all N queries.
        class_probability: (N, K) 0..1, without no-object.
        classes: (H, W) int32, what is known already; written to where there are tiles.

    Returns:
        ``classes``: class index, the smallest of equals.
    """
    for tile in tiles:
        votes = class_probability.T.to(tile.probability.dtype) @ tile.probability  # (r, K, c)
        classes[tile.window] = votes.max(dim=1).indices.cpu().numpy()
    return classes
