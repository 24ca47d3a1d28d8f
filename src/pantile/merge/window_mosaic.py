"""The logits of all windows of an input, side by side at their own stride, and the way from there to their mean.

Windows lie in rows and columns, resizing is bilinear and a mean counts each of a pixel's windows alike. All three are
linear and go axis by axis, so the mean at the input's resolution is

    rows @ mosaic @ columns.T

with one matrix for each axis. So a merge that takes a few rows of the image at a time never has a full map of any
class, however many classes the windows select.
"""

from dataclasses import dataclass
from types import UnionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.placement import Placement
from pantile.merge.resampling import Grid, original_grid
from pantile.merge.tile_layout import TileLayout


@dataclass(frozen=True)
class WindowMosaic:
    """What ``SemanticOutput`` says, of an input that was seen in windows.

    Attributes:
        class_logits: (B, U, ny * h, nx * w) float32 or float64, window (i, j) at [i * h, j * w].
        grid: rows (H, ny * h) and columns (W, nx * w) to the mean logits at the H x W pixels of the input.
        pixel_embed, class_embed, num_classes, classes, presence_logits: see ``SemanticOutput``.
    """

    class_logits: Tensor
    grid: Grid
    pixel_embed: Tensor
    class_embed: Tensor
    num_classes: int
    classes: Tensor | None = None
    presence_logits: Tensor | None = None

    def dense(self) -> SemanticOutput:
        """With U full maps (B, U, H, W), for whatever needs each pixel's logits at once, such as averages of views."""
        rows, columns = (axis.to(self.class_logits) for axis in (self.grid.rows, self.grid.columns))
        return SemanticOutput(
            rows @ (self.class_logits @ columns.T),
            self.pixel_embed,
            self.class_embed,
            self.num_classes,
            self.classes,
            self.presence_logits,
        )

    def original_grid(self, placement: Placement, aligned: bool) -> Grid:
        """From the mosaic to the image at its original size; see ``resampling.original_grid``."""
        behind = original_grid(self.grid.size, placement, aligned)
        return Grid(behind.rows @ self.grid.rows, behind.columns @ self.grid.columns)


def mean_grid(layout: TileLayout, window: tuple[int, int]) -> Grid:
    """The matrices of ``WindowMosaic.grid``, float64.

    Args:
        layout: of the windows in the input.
        window: (h, w) of the logits of one.
    """
    rows, columns = (
        _mean_weights(spans, length, source)
        for spans, length, source in zip((layout.rows, layout.columns), layout.size, window, strict=True)
    )
    return Grid(rows, columns)


def _mean_weights(spans: tuple[tuple[int, int], ...], length: int, source: int) -> Tensor:
    """(length, len(spans) * source): every row sums to one."""
    weights = torch.zeros(length, len(spans) * source, dtype=torch.float64)
    for number, (start, end) in enumerate(spans):
        unit = torch.eye(source, dtype=torch.float64)[None]
        resized = F.interpolate(unit, size=end - start, mode="linear", align_corners=False)[0].T
        weights[start:end, number * source : (number + 1) * source] = resized
    return weights / weights.sum(dim=1, keepdim=True)


def as_taken(output: Any, takes: type | UnionType) -> Any:
    """A mosaic as full maps for whom does not name it among what they take; anything else as it is."""
    named = takes is not object and isinstance(output, takes)
    return output.dense() if isinstance(output, WindowMosaic) and not named else output
