"""Centres of a heat map (Panoptic-DeepLab, arXiv 1911.10194)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.nearest_centers import Centers, best_centers, centers_at


def find_centers(heatmap: Tensor, config: CenterMergeConfig) -> Centers:
    """Local maxima of an (H, W) heat map on the CPU: threshold, non-maximum suppression, best ``max_centers``.

    Equal neighbouring maxima are all kept, as in the reference.
    """
    heat = torch.where(heatmap > config.center_threshold, heatmap, 0)
    peak = (heat == _window_maximum(heat, config.nms_kernel)) & (heat > 0)
    flat = np.flatnonzero(peak.numpy())
    return best_centers(flat, heat.flatten().numpy()[flat], heatmap.shape[1], config)


def hottest_point(heatmap: Tensor) -> Centers:
    """The one largest value of an (H, W) heat map, however small, as a centre; negative heat counts as 0."""
    flat = heatmap.flatten().numpy()
    index = np.array([flat.argmax()])
    return centers_at(index, flat[index].clip(min=0), heatmap.shape[1])


def _window_maximum(heat: Tensor, kernel: int) -> Tensor:
    """Largest value of the kernel x kernel square around each pixel of an (H, W) map of values >= 0.

    One axis after the other; windows of 2, 4, 8, ... pixels are made from two of half the length, and the last step
    joins two overlapping ones, which needs about log2(kernel) passes instead of kernel.
    """
    for axis, extent in enumerate(heat.shape):
        reach = kernel // 2
        window = F.pad(heat, (0, 0, reach, reach) if axis == 0 else (reach, reach))
        length = 1
        while 2 * length <= kernel:
            window = torch.maximum(
                window.narrow(axis, 0, window.shape[axis] - length),
                window.narrow(axis, length, window.shape[axis] - length),
            )
            length *= 2
        heat = torch.maximum(window.narrow(axis, 0, extent), window.narrow(axis, kernel - length, extent))
    return heat
