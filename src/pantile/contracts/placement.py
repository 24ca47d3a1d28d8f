"""Placement: how an image lies in the network's input, so that a prediction finds its way back."""

from dataclasses import dataclass


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
