"""Bilinear resizing with one rule about corners."""

import torch.nn.functional as F
from torch import Tensor


def corners_aligned(x: Tensor) -> bool:
    """Whether resizing (B, C, h, w) aligns corners: when the width is odd.

    Inputs of 32k+1 pixels give maps of n, 2n-1, 4n-3, ... pixels whose corner samples coincide at every stride;
    those widths are odd (k even) at all strides. Even widths come from inputs of 32k pixels, where pixel *areas*
    coincide instead. The rule is the PyTorch kMaX-DeepLab's, whose checkpoints expect it.
    """
    return bool(x.shape[-1] % 2 == 1)  # of a symbolic width while exporting, which the width's rule must settle


def resize(x: Tensor, size: tuple[int, int], align_corners: bool | None = None) -> Tensor:
    """Bilinear resize of (B, C, h, w) to ``size``; None goes by ``corners_aligned(x)``."""
    if x.shape[-2:] == tuple(size):
        return x
    aligned = corners_aligned(x) if align_corners is None else align_corners
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=aligned)
