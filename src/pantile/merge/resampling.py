"""The way from a grid of logits to the image, one axis at a time.

Bilinear resizing and cropping are linear and separable, so any sequence of them is one small matrix for rows and one
for columns: logits at the target are ``rows @ logits @ columns.T``.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.placement import Placement
from pantile.merge.nearest_pixels import corners_aligned


@dataclass(frozen=True)
class Grid:
    """Where decisions are made, and how logits get there.

    Attributes:
        rows: (H, h) weights of the logits' rows; each row of the matrix has few neighbouring non-zero entries.
        columns: (W, w) the same for columns.
    """

    rows: Tensor
    columns: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)"""
        return self.rows.shape[0], self.columns.shape[0]

    @property
    def transposed(self) -> "Grid":
        """The way of maps whose axes have changed places."""
        return Grid(rows=self.columns, columns=self.rows)


def original_grid(logits_size: tuple[int, int], placement: Placement, aligned: bool) -> Grid:
    """Logits -> padded input -> crop to the content -> original size, both resizings bilinear.

    Args:
        aligned: whether they align corners. MaskFormer, Mask2Former and Panoptic FCN never do, whatever the size of
            the input; kMaX-DeepLab goes by ``corners_aligned``.
    """
    rows, columns = (
        _linear(_linear(torch.eye(source, dtype=torch.float64), padded, aligned)[:, :content], original, aligned).T
        for source, padded, content, original in zip(
            logits_size, placement.padded, placement.content, placement.original, strict=True
        )
    )
    return Grid(rows, columns)


def padded_grid(logits_size: tuple[int, int], placement: Placement) -> Grid:
    """Logits -> padded input, bilinear."""
    aligned = corners_aligned(placement)
    rows, columns = (
        _linear(torch.eye(source, dtype=torch.float64), padded, aligned).T
        for source, padded in zip(logits_size, placement.padded, strict=True)
    )
    return Grid(rows, columns)


def source_spans(weights: Tensor, step: int) -> list[tuple[int, int]]:
    """For each ``step`` rows of a weight matrix, the range of columns that holds their non-zero entries."""
    used = weights != 0
    spans = []
    for start in range(0, used.shape[0], step):
        columns = used[start : start + step].any(dim=0).nonzero()
        spans.append((int(columns[0]), int(columns[-1]) + 1))
    return spans


def _linear(values: Tensor, size: int, aligned: bool) -> Tensor:
    """(C, n) -> (C, size)"""
    return F.interpolate(values[None], size=size, mode="linear", align_corners=aligned)[0]
