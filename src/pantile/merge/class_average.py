"""Class probabilities of several views of the same images, which may select different classes."""

from torch import Tensor

from pantile.merge.class_union import in_union, union_of

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
        union = union_of([classes] if self.total is None else [classes, self.classes])
        total = in_union(logits.softmax(dim=1), classes, union, self.num_classes, 0.0)
        if self.total is not None:
            total = total + in_union(self.total, self.classes, union, self.num_classes, 0.0)
        self.total = total
        self.classes = None if union is None else union.expand(len(logits), -1)
        if presence_logits is not None:
            probability = presence_logits.float().sigmoid()
            self.presence = probability if self.presence is None else self.presence + probability
        self.views += 1

    def logits(self) -> Tensor:
        """(B, U, h, w), logarithms of mean probabilities."""
        return (self.total / self.views).clamp(min=_LEAST).log()

    def presence_logits(self) -> Tensor | None:
        """(B, K) of the mean probabilities, where views give any."""
        return None if self.presence is None else (self.presence / self.views).logit(eps=1e-6)
