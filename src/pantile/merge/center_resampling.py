"""The way of maps by centres to where decisions are made: the padded input, or on to the image's original size.

Unlike masks, these maps always have their corners on those of the network's input (``CenterOutput``). From there to the
original size the placement decides, as it does for masks.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.placement import Placement
from pantile.merge.resampling import Grid, corners_aligned, ids_to_original


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


def to_original(values: np.ndarray, placement: Placement) -> np.ndarray:
    """What was decided on the padded input, cropped and taken to the original size by nearest pixels."""
    if placement.content == placement.original:
        return np.ascontiguousarray(values[: placement.content[0], : placement.content[1]])
    return ids_to_original(values, placement)


def offset_growth(size: torch.Size, placement: Placement, at_original: bool) -> tuple[float, float]:
    """By how much a distance in pixels of the maps grows on its way to where decisions are made, (y, x)."""
    aligned = corners_aligned(placement)
    growth = []
    for source, padded, content, original in zip(
        size, placement.padded, placement.content, placement.original, strict=True
    ):
        factor = _growth(source, padded, aligned=True)
        growth.append(factor * _growth(content, original, aligned) if at_original else factor)
    return growth[0], growth[1]


def _growth(source: int, target: int, aligned: bool) -> float:
    if aligned:
        return max(target - 1, 1) / max(source - 1, 1)  # one row to one row keeps its size
    return target / source
