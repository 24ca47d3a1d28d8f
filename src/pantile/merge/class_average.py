"""Class probabilities of several views of the same images, which may select different classes."""

import torch
from torch import Tensor

_LEAST = 1e-12  # a mean probability, so that its logarithm is finite


class ClassAverage:
    """Adds up softmax probabilities, a view at a time, of the classes that any view has selected so far.

    Args:
        num_classes: K.

    Attributes:
        views: how many were added.
        classes: (B, U) int64 of ``logits``, ascending and the same for all images of the batch; None is all K.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.views = 0
        self.classes: Tensor | None = None
        self.total: Tensor | None = None
        self.presence: Tensor | None = None

    def add(self, logits: Tensor, classes: Tensor | None, presence_logits: Tensor | None) -> None:
        """
        Args:
            logits: (B, k, h, w) float32, of one size for all views.
            classes, presence_logits: as those of ``SemanticOutput``.
        """
        every = torch.arange(self.num_classes, device=logits.device)
        chosen = every if classes is None else classes.unique()
        chosen = chosen[chosen >= 0]
        union = chosen if self.total is None else torch.cat([chosen, self._union(every)]).unique()
        place = torch.full((self.num_classes + 1,), len(union), device=logits.device)  # the last is for no class
        place[union] = torch.arange(len(union), device=logits.device)
        total = logits.new_zeros(len(logits), len(union) + 1, *logits.shape[-2:])
        if self.total is not None:
            total[:, place[self._union(every)]] = self.total
        channel = place[every if classes is None else classes].expand(len(logits), -1)
        total.scatter_add_(1, channel[..., None, None].expand_as(logits), logits.softmax(dim=1))
        self.total = total[:, :-1]
        self.classes = None if len(union) == self.num_classes else union.expand(len(logits), -1)
        if presence_logits is not None:
            probability = presence_logits.float().sigmoid()
            self.presence = probability if self.presence is None else self.presence + probability
        self.views += 1

    def _union(self, every: Tensor) -> Tensor:
        return every if self.classes is None else self.classes[0]

    def logits(self) -> Tensor:
        """(B, U, h, w), logarithms of mean probabilities."""
        return (self.total / self.views).clamp(min=_LEAST).log()

    def presence_logits(self) -> Tensor | None:
        """(B, K) of the mean probabilities, where views give any."""
        return None if self.presence is None else (self.presence / self.views).logit(eps=1e-6)
