"""The way of maps by centres to where decisions are made: the padded input, or on to the image's original size.

Unlike masks, these maps always have their corners on those of the network's input (``CenterOutput``). From there to the
original size the placement decides, as it does for masks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.placement import Placement
from pantile.merge.nearest_pixels import corners_aligned
from pantile.merge.resampling import Grid


def decision_grid(size: torch.Size, placement: Placement, at_original: bool) -> Grid:
    """The way of ``resize_maps`` from (h, w), as one matrix for rows and one for columns."""
    axes = []
    for source, padded, content, original in zip(
        size, placement.padded, placement.content, placement.original, strict=True
    ):
        unit = torch.eye(source, dtype=torch.float64)[None]
        weights = F.interpolate(unit, size=padded, mode="linear", align_corners=True)
        if at_original:
            aligned = corners_aligned(placement)
            weights = F.interpolate(weights[..., :content], size=original, mode="linear", align_corners=aligned)
        axes.append(weights[0].T)
    return Grid(*axes)


def resize_maps(maps: Tensor, placement: Placement, at_original: bool) -> Tensor:
    """(C, h, w) to (C, H, W) on the CPU: to the padded input, or on to the content and the original size."""
    exact = maps.cpu() if maps.dtype == torch.float64 else maps.cpu().float()
    resized = F.interpolate(exact[None], size=placement.padded, mode="bilinear", align_corners=True)
    if at_original:
        content = resized[..., : placement.content[0], : placement.content[1]]
        aligned = corners_aligned(placement)
        resized = F.interpolate(content, size=placement.original, mode="bilinear", align_corners=aligned)
    return resized[0]
