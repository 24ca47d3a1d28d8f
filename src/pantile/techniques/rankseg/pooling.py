"""What a multi-label head reads is smaller than the map that pixels are classified on."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Pooling:
    """
    Attributes:
        feature_stride: pixels of the input per position of the map, along each axis.
        stride: pixels per position of the result (paper: 32); 0 leaves the map as it is.
        grid: positions of the result along each axis whatever the image's size (published code: 8 or 16); 0 goes by
            ``stride``.
    """

    feature_stride: int
    stride: int = 32
    grid: int = 0

    @property
    def leaves_the_map(self) -> bool:
        return not self.grid and self.stride <= self.feature_stride

    def __call__(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) to means over cells, (B, C, h', w')"""
        if self.leaves_the_map:
            return feature
        if self.grid:
            return F.adaptive_avg_pool2d(feature, self.grid)
        size = [max(1, round(n * self.feature_stride / self.stride)) for n in feature.shape[2:]]
        return F.adaptive_avg_pool2d(feature, size)
