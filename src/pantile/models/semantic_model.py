"""What every pixel classifier is, and how it comes from class embeddings to logits."""

import torch
from torch import Tensor, nn

from pantile.contracts.outputs import SemanticOutput, SemanticSpec
from pantile.contracts.selection import ClassSelection, ClassSelector
from pantile.models.base import PanopticModel


class AllClasses(nn.Module):
    """The selector of a model by itself: all K classes in the taxonomy's order.

    Args:
        norm: of the K logits of a pixel, applied to (..., K); None leaves them as they are.
    """

    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = norm

    def select(self, feature: Tensor, class_embed: Tensor, tokens: Tensor | None = None) -> ClassSelection:
        return ClassSelection(class_embed.expand(feature.shape[0], -1, -1))

    def normalise(self, logits: Tensor, selection: ClassSelection) -> Tensor:
        return logits if self.norm is None else self.norm(logits.movedim(1, -1)).movedim(-1, 1)


class SemanticModel(PanopticModel):
    """A model that gives ``SemanticOutput``. Its class logits come from ``self.selector`` and nowhere else:

        feature = self.refine(...)                               # the coarsest map
        selection = self.selector.select(feature, class_embed)   # the classes that compete
        ...                                                      # pixel embeddings, refined class embeddings
        return self.classified(pixel_embed, selection)

    Attributes:
        semantic_spec: what techniques may know of it.
        selector: an ``AllClasses`` with the model's own norm, or what a technique put in its place.
    """

    semantic_spec: SemanticSpec
    selector: ClassSelector

    def replace_selector(self, selector: ClassSelector) -> None:
        """Puts a technique's selector in the place of the model's. Its weights stay the technique's: it is no
        submodule of the model, and the norm of all classes, which nothing would run, leaves the model."""
        if isinstance(selector, nn.Module):
            raise TypeError("give an object that holds the module, so that its weights are not counted twice")
        if "selector" in self._modules:
            del self.selector
        self.selector = selector

    def refine(self, feature: Tensor) -> Tensor:
        """What is decoded in place of the backbone's coarsest map, (B, C, h, w) to the same. A technique may set this
        attribute to a function of its own, whose weights stay its own."""
        return feature

    def classified(
        self,
        pixel_embed: Tensor,
        selection: ClassSelection,
        class_bias: Tensor | None = None,
        auxiliary: tuple[Tensor, ...] = (),
    ) -> SemanticOutput:
        """
        Args:
            pixel_embed: (B, D, h, w).
            selection: with class embeddings as they are compared with pixels.
            class_bias: (K,), added to the products.
            auxiliary: see ``SemanticOutput``.
        """
        logits = torch.einsum("bkd,bdhw->bkhw", selection.class_embed, pixel_embed)
        if class_bias is not None:
            chosen = class_bias if selection.classes is None else class_bias[selection.classes]
            logits = logits + chosen.expand(logits.shape[0], -1)[..., None, None]
        return SemanticOutput(
            self.selector.normalise(logits, selection),
            pixel_embed,
            selection.class_embed,
            self.semantic_spec.num_classes,
            selection.classes,
            selection.presence_logits,
            auxiliary,
        )
