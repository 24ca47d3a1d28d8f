"""Fitting: to which size an image is resized and padded for evaluation."""

from dataclasses import dataclass
from fractions import Fraction

from pantile.contracts.errors import UserError
from pantile.contracts.placement import Placement


@dataclass
class FitConfig:
    """Images are resized by their sides and padded to whole multiples, so that each has an input size of its own.

    Mask2Former and MaskFormer test with 800 and 1333 on COCO, 640 and 2560 on ADE20K, 1024 and 2048 on Cityscapes,
    2048 and 2048 on Mapillary Vistas, in multiples of 32. ``FitConfig(long_side=2049, remainder=1)`` is what
    Panoptic-DeepLab's models want on Mapillary Vistas.

    Attributes:
        short_side: what the image's shorter side becomes, in pixels, unless ``long_side`` forbids it.
        long_side: with ``short_side``, the longer side's limit; alone, what the longer side becomes.
        multiple: each side of the input is ``k * multiple + remainder`` pixels.
        remainder: 1 keeps corners aligned at every stride.

    Raises:
        UserError: values that make no sense.
    """

    short_side: int | None = None
    long_side: int | None = None
    multiple: int = 32
    remainder: int = 0

    def __post_init__(self) -> None:
        if self.short_side is None and self.long_side is None:
            raise UserError("evaluation_size has neither short_side nor long_side: give at least one, in pixels.")
        for field in ("short_side", "long_side", "multiple"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise UserError(f"evaluation_size.{field} is {value}: it must be at least 1 pixel.")
        if not 0 <= self.remainder < self.multiple:
            raise UserError(
                f"evaluation_size.remainder is {self.remainder}: it lies in 0..{self.multiple - 1}, below multiple."
            )


def fit_placement(original: tuple[int, int], size: tuple[int, int] | FitConfig) -> Placement:
    """Where an image of ``original`` (height, width) lies in the network's input.

    Args:
        size: the input's (height, width), or a rule that gives it.
    """
    if not isinstance(size, FitConfig):
        return Placement(padded=tuple(size), content=fit_size(original, size), original=tuple(original))
    content = _fit_sides(original, size)
    height, width = (length + (size.remainder - length) % size.multiple for length in content)
    return Placement(padded=(height, width), content=content, original=tuple(original))


def fit_size(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of ``original``'s aspect within ``size``, in whole pixels, in exact arithmetic."""
    scale = min(Fraction(size[0], original[0]), Fraction(size[1], original[1]))
    height, width = (min(max(half_up(o * scale), 1), s) for o, s in zip(original, size, strict=True))
    return height, width


def half_up(length: float | Fraction) -> int:
    """A length of at least 0 in whole pixels; a half is rounded up, as in detectron2's resize by the shortest edge.

    Every size of a resize is rounded so. deeplab2 rounds down and detectron2's random scales round halves to the even
    number, which is up to a pixel less of the image.
    """
    return int(length + Fraction(1, 2)) if isinstance(length, Fraction) else int(length + 0.5)


def _fit_sides(original: tuple[int, int], config: FitConfig) -> tuple[int, int]:
    """(height, width) after the resize, in exact arithmetic."""
    limits = ((config.short_side, min(original)), (config.long_side, max(original)))
    scale = min(Fraction(limit, side) for limit, side in limits if limit is not None)
    height, width = (max(half_up(length * scale), 1) for length in original)
    return height, width
