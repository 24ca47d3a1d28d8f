"""Learned positions of a vision transformer, for images of any size."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_positions(
    table: Tensor, grid: tuple[int, int], size: tuple[int, int], mode: Literal["bilinear", "bicubic"]
) -> Tensor:
    """A table of one grid of patches for another, without antialiasing.

    Grids are compared, not numbers of patches: 2x8 patches are not 4x4, although both codes of Segmenter take the
    table of one for the other.

    Args:
        table: (1, P + h w, D): P tokens that are no patches, then the patches row by row.
        grid: (h, w) of the table.
        size: (h', w') wanted.

    Returns:
        (1, P + h' w', D).
    """
    # a size that an exported graph leaves open is not this one, even where the trace has it
    left_open = any(isinstance(side, torch.SymInt) for side in size)
    if not left_open and tuple(grid) == tuple(size):
        return table
    height, width = grid
    others, patches = table.split([table.shape[1] - height * width, height * width], dim=1)
    patches = patches.unflatten(1, (height, width)).permute(0, 3, 1, 2)
    resized = F.interpolate(patches, size=tuple(size), mode=mode, align_corners=False)
    return torch.cat([others, resized.flatten(2).transpose(1, 2)], dim=1)
