"""Kernel fusion (Panoptic FCN, arXiv 2012.00720, section 3.2): candidates that make the same mask become one.

With candidates from the highest score to the lowest, j belongs to the first i <= j of its class whose kernel has a
cosine of at least a threshold with that of j. A candidate that belongs to itself is kept, and the mean of its members'
kernels is its kernel.

A consequence that is the original's too: where A resembles B, and B resembles C, but A does not resemble C, then B
joins A and C belongs to B, which is not kept: C is in no group.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Groups(NamedTuple):
    """G groups of C candidates.

    Attributes:
        kept: (G,) int64 ascending, the candidate that leads each group.
        group_of: (C,) int64 0..G-1, or -1 for a candidate in no group.
    """

    kept: Tensor
    group_of: Tensor


def fuse_kernels(kernels: Tensor, classes: Tensor, similarity_threshold: float) -> Groups:
    """Which candidates are kept, and which join them.

    Args:
        kernels: (C, D) floating, on any device; from the highest score to the lowest.
        classes: (C,) int64, on any device.
        similarity_threshold: -1..1.

    Returns:
        On the CPU. Cosines are taken in float64, so that a candidate is on the same side of the threshold on every
        device. A kernel of zeros resembles none.
    """
    count = len(kernels)
    order = torch.arange(count)
    if count == 0:
        return Groups(order, order)
    directions = F.normalize(kernels.cpu().double(), dim=1)
    classes = classes.cpu()
    resembles = (directions @ directions.T >= similarity_threshold) & (classes[:, None] == classes)
    resembles |= torch.eye(count, dtype=torch.bool)  # even zeros, even at a threshold of 1
    earlier = order[:, None] <= order
    first = torch.where(resembles & earlier, order[:, None], count).amin(dim=0)  # (C,)
    leads = first == order
    number = torch.where(leads, leads.cumsum(0) - 1, -1)
    return Groups(leads.nonzero()[:, 0], number[first])
