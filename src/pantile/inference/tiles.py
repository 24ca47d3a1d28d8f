"""How an image that is too large for the network is cut into tiles.

Which pixels a tile holds is decided by ``Tiling.scale``, not by the evaluation size: a model trained on 512 x 512 crops
of aerial images knows objects at the images' own resolution, and an image of 8192 x 8192 shrunk to its input would show
it none. Without a scale, an image that is larger than a tile is cut at its own resolution, and one that is not is
predicted as without tiling.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from pantile.contracts.errors import UserError
from pantile.contracts.placement import Placement
from pantile.data.fit import FitConfig, fit_placement, half_up
from pantile.merge.tile_layout import TileLayout, Window, lay_tiles

#: takes the tiles of an image and gives them one by one, for a progress bar
Track = Callable[[tuple[Window, ...]], Iterable[Window]]

SMALLEST_TILE = 32
_MULTIPLE = 32  # of a fixed evaluation size; an odd one, 32k + 1, keeps corners aligned


@dataclass(frozen=True)
class Tiling:
    """How images are cut.

    Attributes:
        size: side of a tile, in pixels of the network's input.
        overlap: the least that neighbours share, in the same pixels; None is an eighth of the tile.
        scale: pixels of the network's input per pixel of the image, the same for every image; "fit" is the scale to
            which the config's evaluation size resizes an image; None is 1 for images that are larger than a tile, and
            "fit" for the others.

    Raises:
        UserError: numbers that make no sense.
    """

    size: int
    overlap: int | None = None
    scale: float | Literal["fit"] | None = None

    def __post_init__(self) -> None:
        if self.size < SMALLEST_TILE:
            raise UserError(f"--tile {self.size} is too small: give at least {SMALLEST_TILE} pixels.")
        if self.overlap is not None and not 0 <= self.overlap < self.size:
            raise UserError(
                f"--overlap {self.overlap} must lie from 0 up to less than --tile {self.size}: "
                f"an eighth of the tile, {self.size // 8}, is a good start."
            )
        if self.scale not in (None, "fit") and not 0 < self.scale < float("inf"):
            raise UserError(f"--tile-scale {self.scale}: give a factor above 0, such as 0.5, or `fit`.")

    @property
    def shared(self) -> int:
        """The least number of pixels that neighbours share."""
        return self.size // 8 if self.overlap is None else self.overlap


@dataclass(frozen=True)
class TilePlan:
    """An image's tiles.

    Attributes:
        layout: in pixels of the image.
        placement: where every tile lies in the network's input; ``original`` is the tile's own size.
    """

    layout: TileLayout
    placement: Placement


def plan_tiles(size: tuple[int, int], tiling: Tiling | None, evaluation_size: tuple[int, int] | FitConfig) -> TilePlan:
    """
    Args:
        size: (height, width) of the image.
        tiling: None, like an image that fits into one tile at the scale of its evaluation size, gives one tile, placed
            as without tiling.
        evaluation_size: of the config. Tiles are padded to the same multiples: those of its rule, or of 32, plus one
            where it is odd.
    """
    fitted = fit_placement(size, evaluation_size)
    whole = TilePlan(lay_tiles(size, size, (0, 0)), fitted)
    if tiling is None or (tiling.scale is None and max(size) <= tiling.size):
        return whole
    if tiling.scale == "fit":
        scales = [content / original for content, original in zip(fitted.content, size, strict=True)]
        scaled = fitted.content
    else:
        scales = [tiling.scale or 1.0] * 2
        scaled = tuple(max(half_up(length * scale), 1) for length, scale in zip(size, scales, strict=True))
    if scaled == fitted.content and max(scaled) <= tiling.size:
        return whole
    extents, overlaps = [], []
    for length, scaled_length, scale in zip(size, scaled, scales, strict=True):
        cut = scaled_length > tiling.size
        extents.append(min(max(half_up(tiling.size / scale), 1), length - 1) if cut else length)
        overlaps.append(min(half_up(tiling.shared / scale), extents[-1] - 1))
    layout = lay_tiles(size, (extents[0], extents[1]), (overlaps[0], overlaps[1]))
    original = layout.windows[0].size
    content = [min(max(half_up(o * scale), 1), tiling.size) for o, scale in zip(original, scales, strict=True)]
    padded = [_padded(length, evaluation_size) for length in content]
    return TilePlan(layout, Placement((padded[0], padded[1]), (content[0], content[1]), original))


def _padded(length: int, evaluation_size: tuple[int, int] | FitConfig) -> int:
    """The least input length that holds so many pixels."""
    if isinstance(evaluation_size, FitConfig):
        multiple, remainder = evaluation_size.multiple, evaluation_size.remainder
    else:
        multiple, remainder = _MULTIPLE, evaluation_size[1] % 2
    return length + (remainder - length) % multiple
