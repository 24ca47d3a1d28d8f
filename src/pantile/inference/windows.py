"""Sliding-window inference: a network sees windows of its input, and what it says is averaged where they overlap.

As in the original Segmenter and in mmseg. Tiles (``inference.tiles``) cut *images*, and predictions are stitched at the
end; windows cut the network's input, each view of it alone, and the result is an output like any other, which may be
averaged with other views and merged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.merge.tile_layout import lay_tiles, lay_windows
from pantile.merge.window_mosaic import WindowMosaic
from pantile.merge.windows import Average, average_windows


@dataclass
class Windows:
    """How the network's input is cut.

    Windows start at 0, stride, 2 * stride, ..., and the last ends where the input ends, padding included. With
    ``evaluation_size.multiple=1`` there is none, and windows lie as in the originals.

    Attributes:
        size: (height, width) of a window, in pixels of the network's input.
        stride: (y, x) from one window to the next, at most ``size``; None is ``size``: no overlap but at the far
            borders.
        average: of "logits" (Segmenter, mmseg), or of "probabilities" after a softmax; of models with queries only of
            "votes" for classes (EoMT), which go with merge.kind "query_votes".
        smaller_images: "enlarge" an input until a window fits in (Segmenter), or "shrink" the window along a side where
            the input is shorter (mmseg).
        spread: as few windows as cover the input, evenly spread, in place of ``stride`` (EoMT).

    Raises:
        UserError: numbers that make no sense.
    """

    size: tuple[int, int] = (512, 512)
    stride: tuple[int, int] | None = None
    average: Average = "logits"
    smaller_images: Literal["enlarge", "shrink"] = "enlarge"
    spread: bool = False

    def __post_init__(self) -> None:
        if self.spread and self.stride is not None:
            raise UserError(f"windows.stride is {list(self.stride)}, but windows.spread chooses it: set one of them.")
        if min(self.size) < 1:
            raise UserError(f"windows.size is {list(self.size)}: give a height and a width of at least 1 pixel.")
        if not all(1 <= step <= side for step, side in zip(self.steps, self.size, strict=True)):
            raise UserError(
                f"windows.stride is {list(self.steps)}: give steps from 1 to windows.size, {list(self.size)}, "
                "so that windows leave no gap."
            )

    @property
    def steps(self) -> tuple[int, int]:
        """(y, x) from one window to the next."""
        return self.size if self.stride is None else self.stride

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """To which (height, width) an input of ``size`` is enlarged: as little as lets a window fit in."""
        scale = max(Fraction(window, side) for window, side in zip(self.size, size, strict=True))
        if self.smaller_images == "shrink" or scale <= 1:
            return size
        return int(size[0] * scale), int(size[1] * scale)


def forward_windows(
    forward: Callable[[Tensor], ModelOutput], images: Tensor, windows: Windows
) -> ModelOutput | WindowMosaic:
    """The average over all windows, for each pixel of the (enlarged) input: its maps, or of mean logits a mosaic.

    Args:
        forward: model and techniques.
        images: (B, C, H, W) float, the network's input: normalised and padded.

    Raises:
        UserError: an output that cannot be averaged over windows; see ``average_windows``.
    """
    height, width = windows.input_size((images.shape[2], images.shape[3]))
    if images.shape[2:] != (height, width):
        images = F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)
    if windows.spread:
        layout = lay_tiles((height, width), windows.size, (0, 0))
    else:
        layout = lay_windows((height, width), windows.size, windows.steps)
    outputs = (forward(images[..., *window.slices]) for window in layout.windows)
    return average_windows(next(outputs), outputs, layout, windows.average)
