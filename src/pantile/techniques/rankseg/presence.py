"""What a multi-label head says of a batch."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Presence:
    """
    Attributes:
        logits: (B, K) for a sigmoid, whether an image shows a class.
        class_embed: (B, K, D) class tokens that have seen the image; None where a head refines none.
        tokens: (B, D, h, w) pixel tokens that have seen the classes, as many as went in; None where they were pooled
            or the head refines none.
    """

    logits: Tensor
    class_embed: Tensor | None = None
    tokens: Tensor | None = None
