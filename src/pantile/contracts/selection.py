"""Which classes compete for the pixels of an image: the seam between a pixel classifier and a technique that ranks."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class ClassSelection:
    """The classes of each image of a batch, in the order of their channels.

    Attributes:
        class_embed: (B, k, D), what pixels are compared with.
        classes: (B, k) int64, the class index of each; None where they are all K classes in the taxonomy's order.
        presence_logits: (B, K) for a sigmoid, whether an image shows a class; None where nothing says so.
    """

    class_embed: Tensor
    classes: Tensor | None = None
    presence_logits: Tensor | None = None


class ClassSelector(Protocol):
    """What a pixel classifier asks for the classes it distinguishes (``SemanticModel.selector``)."""

    def select(self, feature: Tensor, class_embed: Tensor) -> ClassSelection:
        """
        Args:
            feature: (B, C, h, w), what the model knows of the whole image; C is ``SemanticSpec.feature_channels``.
            class_embed: (K, D), the embeddings of all classes.
        """
        ...

    def normalise(self, logits: Tensor) -> Tensor:
        """(B, k, h, w) products of pixels and class embeddings to logits for a softmax over k, of the same shape."""
        ...
