"""Which classes compete for the pixels of an image: the seam between a model and a technique that ranks."""

from collections.abc import Sequence
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
        filler: (B, k) bool, classes that only fill up a batch whose images have different numbers of classes: nothing
            may look at them. Each image has one other at least. None where there are none.
        tokens: (B, D, h, w), what takes the place of the tokens given; None leaves them.
    """

    class_embed: Tensor
    classes: Tensor | None = None
    presence_logits: Tensor | None = None
    filler: Tensor | None = None
    tokens: Tensor | None = None


class ClassSelector(Protocol):
    """What a pixel classifier asks for the classes it distinguishes (``SemanticModel.selector``)."""

    def select(self, feature: Tensor, class_embed: Tensor, tokens: Tensor | None = None) -> ClassSelection:
        """
        Args:
            feature: (B, C, h, w), what the model knows of the whole image; C is ``SemanticSpec.feature_channels``.
            class_embed: (K, D), the embeddings of all classes.
            tokens: (B, D, h, w), pixels in the space of the class embeddings, where both pass transformer layers
                together; None where they do not.
        """
        ...

    def normalise(self, logits: Tensor, selection: ClassSelection) -> Tensor:
        """(B, k, h, w) products of pixels and class embeddings to logits for a softmax over k, of the same shape."""
        ...


@dataclass(frozen=True)
class PositionSelection:
    """What is left of the logits of positions (``PositionMaps``), and why.

    Attributes:
        thing_logits: as they came, those of classes that do not compete at about -100.
        stuff_logits: the same.
        classes: (B, k) int64, those that compete; None is all.
        presence_logits: (B, K) for a sigmoid, whether an image shows a class; None where nothing says so.
    """

    thing_logits: tuple[Tensor, ...]
    stuff_logits: tuple[Tensor, ...]
    classes: Tensor | None = None
    presence_logits: Tensor | None = None


class PositionSelector(Protocol):
    """What a model that makes queries at positions asks for the classes that may have any
    (``PanopticFCN.select_positions``)."""

    def __call__(
        self, feature: Tensor, thing_logits: Sequence[Tensor], stuff_logits: Sequence[Tensor]
    ) -> PositionSelection:
        """
        Args:
            feature: (B, C, h, w), ``MaskOutput.pixel_feature``.
            thing_logits: see ``PositionMaps``.
            stuff_logits: see ``PositionMaps``.
        """
        ...
