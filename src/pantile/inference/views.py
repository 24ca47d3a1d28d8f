"""Running a model over several views of a batch and averaging what it says."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.data.fit import half_up
from pantile.merge.views import View, average_views, corners_aligned

#: SWideRNet, section 4: COCO and ADE20K; Cityscapes and Mapillary Vistas
SCALE_SETS = {
    "coco": (0.5, 0.75, 1.0, 1.25, 1.5),
    "cityscapes": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
}


@dataclass(frozen=True)
class Views:
    """Attributes:
    scales: of the network's input; 1 need not be among them, but is always run, as the others are laid over it.
    flip: also run each scale mirrored left to right.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise UserError(f"--scales {self.scales}: give one or more factors above 0, such as 0.75 1 1.25.")

    @property
    def is_single(self) -> bool:
        return set(self.scales) == {1.0} and not self.flip


def forward_views(forward: Callable[[Tensor], ModelOutput], images: Tensor, views: Views) -> ModelOutput:
    """The average over all views, on the grid of the unscaled one.

    Args:
        forward: model and techniques.
        images: (B, C, H, W) float, the network's input: normalised and padded.
    """
    first = forward(images)
    if views.is_single:
        return first
    aligned = corners_aligned(first, images.shape[-1])
    return average_views(first, _others(forward, images, views, aligned), aligned)


def _others(forward: Callable[[Tensor], ModelOutput], images: Tensor, views: Views, aligned: bool) -> Iterator[View]:
    for scale in sorted({*views.scales, 1.0}):
        scaled = images if scale == 1 else _resize(images, scale, aligned)
        if scale != 1:
            yield View(forward(scaled), False)
        if views.flip:
            yield View(forward(scaled.flip(-1)), True)


def _resize(images: Tensor, scale: float, aligned: bool) -> Tensor:
    """Of n = 32k + 1 pixels floor((n - 1) * scale + 1), which keeps corners aligned (deeplab2); of others n * scale."""
    lengths = images.shape[-2:]
    size = [math.floor((n - 1) * scale + 1) if aligned else half_up(n * scale) for n in lengths]
    return F.interpolate(images, size=[max(1, n) for n in size], mode="bilinear", align_corners=aligned)
