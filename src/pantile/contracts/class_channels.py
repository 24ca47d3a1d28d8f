"""Between classes and the channels that stand for them, where an output holds the channels of k of K classes.

``classes`` is (B, k) int64, the class index of each channel of each image (``SemanticOutput``); a channel of class -1
stands for none. None means that channel c is class c.
"""

import torch
from torch import Tensor


def channels_of(labels: Tensor, classes: Tensor | None, num_classes: int) -> Tensor:
    """The channel that stands for each label.

    Args:
        labels: (B, ...) int64 class index below ``num_classes``, or -1 for none.

    Returns:
        Of the same shape, int64: 0..k-1, or -1 for none and for a class without a channel.
    """
    if classes is None:
        return labels
    table = classes.new_full((classes.shape[0], num_classes + 1), -1)
    table.scatter_(1, classes + 1, torch.arange(classes.shape[1], device=classes.device).expand_as(classes))
    table[:, 0] = -1
    return table.gather(1, labels.flatten(1) + 1).view_as(labels)


def in_class_order(maps: Tensor, classes: Tensor | None, num_classes: int, fill: float) -> Tensor:
    """(B, k, ...) of channels to (B, K, ...) of classes, with ``fill`` for those without a channel.

    Of K classes: for small maps only.
    """
    if classes is None:
        return maps
    shape = (maps.shape[0], num_classes + 1, *maps.shape[2:])
    index = (classes + 1).view(*classes.shape, *[1] * (maps.ndim - 2)).expand_as(maps)
    return maps.new_full(shape, fill).scatter(1, index, maps)[:, 1:]
