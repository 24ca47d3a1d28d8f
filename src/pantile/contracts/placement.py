"""Placement: how an image lies in the network's input, so that a prediction finds its way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Placement:
    """Sizes are (height, width) in pixels; the image starts at the top left corner of the padded input.

    Attributes:
        padded: the network's input.
        content: the resized image within it; the rest, to the right and below, is padding.
        original: the image as it was read.
    """

    padded: tuple[int, int]
    content: tuple[int, int]
    original: tuple[int, int]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> "Placement":
        """Of an image that is the network's input as it is."""
        return cls(size, size, size)


def padding_mask(placements: Sequence[Placement]) -> "Tensor | None":
    """(B, H, W) bool, true where a batch of inputs of one size shows no image; None where that is nowhere."""
    import torch  # here, because sizes alone need none

    if all(p.content == p.padded for p in placements):
        return None

    mask = torch.ones(len(placements), *placements[0].padded, dtype=torch.bool)
    for own, placement in zip(mask, placements, strict=True):
        own[: placement.content[0], : placement.content[1]] = False
    return mask
