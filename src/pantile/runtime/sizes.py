"""Which inputs the graph of an exported file takes."""

from dataclasses import dataclass, replace

from pantile.contracts.errors import UserError
from pantile.contracts.placement import Placement


@dataclass(frozen=True)
class Side:
    """One side of an input: ``fixed`` pixels, or ``multiple * k + remainder`` for k from 1."""

    fixed: int | None = None
    multiple: int = 1
    remainder: int = 0

    def takes(self, length: int) -> bool:
        if self.fixed is not None:
            return length == self.fixed
        return length % self.multiple == self.remainder % self.multiple and length >= self.multiple + self.remainder

    def at_least(self, length: int) -> int:
        """The shortest input that holds so many pixels; may be shorter where the side is fixed."""
        if self.fixed is not None:
            return self.fixed
        return max(length + (self.remainder - length) % self.multiple, self.multiple + self.remainder)

    def __str__(self) -> str:
        if self.fixed is not None:
            return str(self.fixed)
        return f"{self.multiple}k" + (f" + {self.remainder}" if self.remainder else "")


@dataclass(frozen=True)
class InputSizes:
    """
    Attributes:
        height, width: of the input.
        batch: images at a time; None is any number.
    """

    height: Side
    width: Side
    batch: int | None = None

    @classmethod
    def from_dict(cls, data: dict) -> "InputSizes":
        return cls(Side(**data["height"]), Side(**data["width"]), data["batch"])

    def __str__(self) -> str:
        images = "any number of images" if self.batch is None else f"{self.batch} image{'s' * (self.batch > 1)}"
        return f"{self.height} x {self.width} pixels, {images} at a time"

    def check(self, size: tuple[int, int], path: str) -> None:
        """
        Raises:
            UserError: the graph does not take an input of (height, width).
        """
        if not (self.height.takes(size[0]) and self.width.takes(size[1])):
            raise UserError(
                f"{path} takes inputs of {self}, not {size[0]} x {size[1]}: pad to such a size, or export with another "
                "--size."
            )

    def padded(self, placement: Placement) -> Placement:
        """The same with as much more padding as the graph needs."""
        height, width = self.height.at_least(placement.padded[0]), self.width.at_least(placement.padded[1])
        return replace(placement, padded=(height, width))
