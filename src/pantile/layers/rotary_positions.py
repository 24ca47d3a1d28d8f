"""Rotary positions of patches as in DINOv3 (arXiv:2508.10104): pairs of channels turn by the patch's coordinates."""

import math

import torch
from torch import Tensor

from pantile.layers.vit_block import Rotation

BASE = 100.0


def rotary_positions(size: tuple[int, int], head_channels: int, like: Tensor, scale: Tensor | float = 1.0) -> Rotation:
    """Angles are 2 pi times a coordinate times 100 ** (-4 i / d), the row's for the first d / 4 pairs, the column's for
    the others.

    Coordinates are those of the patches' centres, from -1 to 1 whatever the number of patches.

    Args:
        size: (h, w) of the patches, row by row.
        head_channels: d, a multiple of 4.
        like: of the type, float32 at least, and on the device of the result.
        scale: coordinates are multiplied by it.

    Returns:
        For the h w patches.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    steps = torch.arange(head_channels // 4, dtype=dtype, device=like.device)
    frequencies = BASE ** (-4 * steps / head_channels)
    rows, columns = (
        (2 * (torch.arange(count, dtype=dtype, device=like.device) + 0.5) / count - 1) * scale for count in size
    )
    turns = [
        (axis[:, None] * frequencies).view(shape).expand(*size, -1)
        for axis, shape in ((rows, (size[0], 1, -1)), (columns, (1, size[1], -1)))
    ]
    angles = 2 * math.pi * torch.cat(turns, dim=2).flatten(0, 1)
    return Rotation(angles.cos(), angles.sin())
