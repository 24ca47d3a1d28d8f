"""Kernel fusion (Panoptic FCN, arXiv 2012.00720, section 3.2): candidates that make the same mask become one.

With candidates from the highest score to the lowest, j belongs to the first i <= j of its class whose kernel has a
cosine of at least a threshold with that of j. A candidate that belongs to itself is kept, and the mean of its members'
kernels is its kernel.

A consequence that is the original's too: where A resembles B, and B resembles C, but A does not resemble C, then B
joins A and C belongs to B, which is not kept: C is in no group.
"""

from typing import NamedTuple

import numpy as np


class Groups(NamedTuple):
    """G groups of C candidates.

    Attributes:
        kept: (G,) int64 ascending, the candidate that leads each group.
        group_of: (C,) int64 0..G-1, or -1 for a candidate in no group.
    """

    kept: np.ndarray
    group_of: np.ndarray


def fuse_kernels(kernels: np.ndarray, classes: np.ndarray, similarity_threshold: float) -> Groups:
    """Which candidates are kept, and which join them.

    Args:
        kernels: (C, D) floating; from the highest score to the lowest.
        classes: (C,) int64
        similarity_threshold: -1..1.

    Returns:
        Cosines are taken in float64, so that a candidate is on the same side of the threshold whatever the device of
        the network. A kernel of zeros resembles none.
    """
    count = len(kernels)
    order = np.arange(count)
    if count == 0:
        return Groups(order, order)
    exact = kernels.astype(np.float64)
    directions = exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    resembles = (directions @ directions.T >= similarity_threshold) & (classes[:, None] == classes)
    resembles |= np.eye(count, dtype=bool)  # even zeros, even at a threshold of 1
    earlier = order[:, None] <= order
    first = np.where(resembles & earlier, order[:, None], count).min(axis=0)  # (C,)
    leads = first == order
    number = np.where(leads, np.cumsum(leads) - 1, -1)
    return Groups(np.flatnonzero(leads), number[first])
