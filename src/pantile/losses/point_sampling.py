"""Points instead of pixels (Mask2Former, arXiv 2112.01527, section 3.3): masks are compared where it matters.

A point is (x, y) in 0..1 of width and height, so that prediction and ground truth keep their own resolutions. Both are
read bilinearly with pixel centres at (i + 0.5) / size and zeros outside. Ground truth stays a map of row numbers:
reading a dense mask bilinearly is adding the weights of those of the four neighbours that belong to its row.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.precision import in_float32


def draw_points(sets: int, count: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(sets, count, 2) uniform, on the device of ``like``, float64 for float64 and float32 for everything else."""
    points = torch.rand(sets, count, 2, device=like.device, generator=generator)
    return points.double() if like.dtype == torch.float64 else points


@torch.no_grad()
def draw_uncertain_points(
    logits: Tensor,
    count: int,
    oversample: float,
    importance: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws points of each mask, most of them where its sign is least certain.

    Of ``oversample * count`` uniform candidates those with the smallest absolute logit are kept, a share
    ``importance`` of the ``count``; the rest are fresh uniform points.

    Args:
        logits: (M, h, w).
        count: P.
        generator: on the device of ``logits``.

    Returns:
        (M, P, 2) float32, or float64 for float64 logits.
    """
    candidates = draw_points(len(logits), int(oversample * count), logits, generator)
    kept = int(importance * count)
    distance = sample_maps(logits[:, None], candidates)[:, 0].abs()
    nearest = distance.topk(kept, dim=1, largest=False, sorted=False).indices
    chosen = candidates.gather(1, nearest[:, :, None].expand(-1, -1, 2))
    return torch.cat([chosen, draw_points(len(logits), count - kept, logits, generator)], dim=1)


@in_float32
def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of network maps.

    Args:
        maps: (M, C, h, w).
        points: (M, P, 2), shared by the C channels.

    Returns:
        (M, C, P), at least float32.
    """
    grid = (2 * points - 1)[:, None]
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, :, 0]


def sample_all_rows(index: Tensor, rows: int, points: Tensor) -> Tensor:
    """Bilinear values of every ground-truth mask of an image.

    Args:
        index: (B, H, W) int64 row per pixel, -1 where no row is.
        rows: G.
        points: (B, P, 2).

    Returns:
        (B, G, P) 0..1, of the type of ``points``.
    """
    batch, count = points.shape[:2]
    values = points.new_zeros(batch, rows + 1, count)  # the first row collects what belongs to none
    for row, weight in _four_neighbours(index, torch.arange(batch, device=index.device), points):
        values.scatter_add_(1, row[:, None] + 1, weight[:, None])
    return values[:, 1:]


def sample_own_rows(index: Tensor, image: Tensor, row: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of one ground-truth mask for each set of points.

    Args:
        index: (B, H, W) int64 row per pixel, -1 where no row is.
        image: (M,) int64, 0..B-1.
        row: (M,) int64, the mask.
        points: (M, P, 2).

    Returns:
        (M, P) 0..1, of the type of ``points``.
    """
    values = torch.zeros_like(points[..., 0])
    for neighbour, weight in _four_neighbours(index, image, points):
        values += weight * (neighbour == row[:, None])
    return values


def _four_neighbours(index: Tensor, image: Tensor, points: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Row (M, P), -1 outside the map, and weight (M, P) of each neighbour, one at a time to spare memory."""
    height, width = index.shape[-2:]
    x, y = (points * points.new_tensor([width, height]) - 0.5).unbind(-1)
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    left, top = left.long(), top.long()
    flat = index.flatten()
    for row, share_down in ((top, 1 - down), (top + 1, down)):
        for column, share_across in ((left, 1 - across), (left + 1, across)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            position = (image[:, None] * height + row) * width + column
            # on a CPU several times faster than indexing with a matrix
            found = flat.index_select(0, torch.where(inside, position, 0).flatten()).view_as(position)
            yield torch.where(inside, found, -1), share_down * share_across
