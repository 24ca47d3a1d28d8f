"""Which classes of each image compete, and in which order."""

from dataclasses import dataclass

import torch
from torch import Tensor

#: logit of a class that takes no part: a softmax gives it about e^-100
ABSENT = -100.0


@dataclass(frozen=True)
class Selected:
    """
    Attributes:
        classes: (B, k) int64 class index by rank, all different.
        filler: (B, k) bool: those that are only there because another image has more; never the first. None where
            there are none.
    """

    classes: Tensor
    filler: Tensor | None = None

    @property
    def competing(self) -> Tensor:
        """(B, k) bool"""
        return torch.ones_like(self.classes, dtype=torch.bool) if self.filler is None else ~self.filler


def most_probable(logits: Tensor, count: int, threshold: float = 0.0) -> Selected:
    """
    Args:
        logits: (B, K) for a sigmoid.
        count: k, 1..K.
        threshold: classes below this probability do not compete, but for the first; 0..1.
    """
    # stable: equal scores keep the taxonomy's order, on every device
    values, classes = logits.detach().sort(dim=1, descending=True, stable=True)
    classes = classes[:, :count]
    if threshold <= 0:
        return Selected(classes)
    return _cut(classes, values[:, :count].sigmoid() >= threshold)


def those_present(present: Tensor) -> Selected:
    """Classes that are there, in the taxonomy's order; the first class where there are none.

    Args:
        present: (B, K) bool.
    """
    order = (~present).to(torch.int8).argsort(dim=1, stable=True)
    return _cut(order, present.gather(1, order))


def _cut(classes: Tensor, competing: Tensor) -> Selected:
    """The first columns, as many as the image with most has. ``competing`` (B, k) is true, then false in each row."""
    counts = competing.sum(dim=1).clamp(min=1)
    most = int(counts.max())
    filler = torch.arange(most, device=classes.device) >= counts[:, None]
    return Selected(classes[:, :most], filler if filler.any() else None)
