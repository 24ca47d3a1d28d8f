"""Maps whose channels are different selections of classes, brought to the classes that any of them selects."""

from collections.abc import Iterable

import torch
from torch import Tensor


def union_of(selections: Iterable[Tensor | None]) -> Tensor | None:
    """
    Args:
        selections: (B, k) int64 each, class index of each channel, -1 for a channel of none; None is all classes.

    Returns:
        (U,) ascending, what any selects; None, which is all classes, if any is.
    """
    selections = list(selections)
    if any(selection is None for selection in selections):
        return None
    union = torch.cat([selection.flatten() for selection in selections]).unique()
    return union[union >= 0]


def in_union(maps: Tensor, selection: Tensor | None, union: Tensor | None, num_classes: int, fill: float) -> Tensor:
    """(B, k, ...) of the classes ``selection`` to (B, U, ...) of ``union``, which holds them all.

    Args:
        selection: (B, k), see ``union_of``.
        union: (U,); None is all K.
        num_classes: K.
        fill: of classes that are not selected.
    """
    if selection is None:
        return maps
    count = num_classes if union is None else len(union)
    table = torch.arange(num_classes + 1, device=maps.device)  # the last is for channels of no class
    if union is not None:
        table[union] = torch.arange(count, device=maps.device)
    table[num_classes] = count
    channel = table[selection].view(*selection.shape, *[1] * (maps.ndim - 2)).expand_as(maps)
    result = maps.new_full((len(maps), count + 1, *maps.shape[2:]), fill)
    return result.scatter_(1, channel, maps)[:, :-1]
