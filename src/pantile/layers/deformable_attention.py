"""Multi-scale deformable attention (Deformable DETR, arXiv:2010.04159, equation 3), without a compiled extension.

Every pixel of every map reads a few points per head and map, at learned offsets from itself, and sums them with
learned weights:

    out(q) = W_o concat_m sum_{l, p} A[q, m, l, p] bilinear(V_l^m, r_q W_l + offset[q, m, l, p]),   sum_{l, p} A = 1

Outside of a map the value is zero. The same sum is written twice: a weighted bag of table rows, which is the faster
on a CPU (benchmarks/deformable_attention.py), and ``grid_sample``, for other devices and for exported programs.

Shapes: B images, S pixels of all L maps together, M heads, P points, D = C / M channels of a head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.layers.position_encoding import Sizes, cached_by_arguments


class MultiScaleDeformableAttention(nn.Module):
    """Self-attention of the pixels of several maps.

    Args:
        channels: C, a multiple of ``num_heads``.
        num_heads: M.
        num_levels: L.
        num_points: P, per head and map.
    """

    def __init__(self, channels: int, num_heads: int = 8, num_levels: int = 3, num_points: int = 4):
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(channels, 2 * samples)  # rows by head, map, point, (x, y)
        self.attention_weights = nn.Linear(channels, samples)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Each head looks in a direction of its own, its p-th point p pixels away; uniform weights."""
        angle = 2 * math.pi * torch.arange(self.num_heads) / self.num_heads
        direction = torch.stack([angle.cos(), angle.sin()], dim=1)
        direction /= direction.abs().amax(dim=1, keepdim=True)
        distance = torch.arange(1, self.num_points + 1)
        offsets = (direction[:, None, None] * distance[:, None]).expand(-1, self.num_levels, -1, -1)
        nn.init.zeros_(self.sampling_offsets.weight)
        self.sampling_offsets.bias.copy_(offsets.flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, value: Tensor, sizes: Sizes) -> Tensor:
        """
        Args:
            query: (B, S, C), the pixels with their positions.
            value: (B, S, C), the pixels.
            sizes: (h, w) of each map; their pixels follow each other row by row.

        Returns:
            (B, S, C).
        """
        heads, samples = self.num_heads, self.num_levels * self.num_points
        weights = _softmax_of_few(self.attention_weights(query).unflatten(2, (heads, samples)))
        # all x before all y, so that everything that follows runs over contiguous memory
        order = self.sampling_offsets.weight.unflatten(0, (heads * samples, 2)).transpose(0, 1).flatten(0, 1)
        bias = self.sampling_offsets.bias.unflatten(0, (heads * samples, 2)).transpose(0, 1).flatten()
        offsets = F.linear(query, order, bias).unflatten(2, (2, heads, samples))
        x, y = (offsets + pixel_centers(sizes, self.num_points, query.device).to(offsets.dtype)).unbind(2)
        values = self.value_proj(value).unflatten(2, (heads, -1))
        by_bags = values.device.type == "cpu" and not torch.compiler.is_exporting()
        sample = weighted_samples_by_bags if by_bags else weighted_samples_by_grid
        return self.output_proj(sample(values, sizes, x, y, weights))


def _softmax_of_few(logits: Tensor) -> Tensor:
    """Softmax over a short last dimension, for which torch's own takes ten times as long on a CPU."""
    exponentials = (logits - logits.detach().amax(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


@cached_by_arguments
def pixel_centers(sizes: Sizes, num_points: int, device: torch.device) -> Tensor:
    """Where each pixel lies on each map, in that map's pixels, 0 being the centre of its first pixel.

    Returns:
        (S, 2, 1, L P) float32: x and y, repeated for every point.
    """
    relative = []
    for height, width in sizes:
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
        relative.append(torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2).flatten(0, 1))
    scale = torch.tensor([(width, height) for height, width in sizes], device=device, dtype=torch.float32)
    pixels = torch.cat(relative)[:, :, None] * scale.T - 0.5
    return pixels.repeat_interleave(num_points, dim=2)[:, :, None].contiguous()


def weighted_samples_by_grid(values: Tensor, sizes: Sizes, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Sum of bilinear samples of each head's maps.

    Args:
        values: (B, S, M, D).
        sizes: (h, w) of each map.
        x: (B, S, M, L P) column in the map's pixels; outside of -1..w the value is zero.
        y: (B, S, M, L P) row, likewise.
        weights: (B, S, M, L P).

    Returns:
        (B, S, M D).
    """
    batch, length, heads, _ = values.shape
    points = x.shape[3] // len(sizes)
    total = None
    maps = values.split([height * width for height, width in sizes], dim=1)
    columns, rows, shares = (t.split(points, dim=3) for t in (x, y, weights))
    for (height, width), level, column, row, share in zip(sizes, maps, columns, rows, shares, strict=True):
        level = level.permute(0, 2, 3, 1).reshape(batch * heads, -1, height, width)
        grid = torch.stack([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1], dim=4)
        grid = grid.transpose(1, 2).flatten(0, 1)  # (B M, S, P, 2)
        sampled = F.grid_sample(level, grid, align_corners=False)  # (B M, D, S, P)
        summed = (sampled * share.transpose(1, 2).flatten(0, 1)[:, None]).sum(dim=3)
        total = summed if total is None else total + summed
    return total.unflatten(0, (batch, heads)).permute(0, 3, 1, 2).reshape(batch, length, -1)


def weighted_samples_by_bags(values: Tensor, sizes: Sizes, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """The same as ``weighted_samples_by_grid``: the four neighbours of each sample are rows of one table.

    The maps get a border of zeros, so that no neighbour needs a test: a coordinate is clamped to -1..w, where all
    that is seen is border.
    """
    batch, length, heads, _ = values.shape
    table = _with_borders(values.flatten(2), sizes)
    rows = table.shape[1]
    points = x.shape[3] // len(sizes)
    width, height, stride, start = _table_layout(sizes, points, x.dtype, x.device)

    edge = -torch.ones_like(width)
    x, y = x.clamp(edge, width), y.clamp(edge, height)
    with torch.no_grad():
        left, top = x.floor(), y.floor()
        # a diverged offset must become a NaN in the output, not a wild address
        first = torch.addcmul(left + start, top, stride).nan_to_num(nan=0.0).int()
        head = torch.arange(heads, device=x.device, dtype=torch.int32)[:, None]
        image = torch.arange(batch, device=x.device, dtype=torch.int32)[:, None, None, None] * (rows * heads)
        first = first * heads + (head + image)
        right_step, down_step = (torch.full_like(stride, heads).int(), (stride * heads).int())
        below = first + down_step
        index = torch.stack([first, first + right_step, below, below + right_step], dim=3)
    right, down = x - left, y - top
    weights_right, weights_down = weights * right, weights * down
    corner = weights_right * down
    upper_right, lower_left = weights_right - corner, weights_down - corner
    shares = torch.stack([weights - weights_right - lower_left, upper_right, lower_left, corner], dim=3)
    bags = F.embedding_bag(
        index.flatten(3).flatten(0, 2),
        table.view(batch * rows * heads, -1),
        mode="sum",
        per_sample_weights=shares.flatten(3).flatten(0, 2),
    )
    return bags.view(batch, length, -1)


def _with_borders(maps: Tensor, sizes: Sizes) -> Tensor:
    """(B, S, C) -> (B, sum (h + 3)(w + 3), C): one line of zeros before and two after each map, in both directions."""
    padded = []
    for (height, width), level in zip(sizes, maps.split([h * w for h, w in sizes], dim=1), strict=True):
        padded.append(F.pad(level.unflatten(1, (height, width)), (0, 0, 1, 2, 1, 2)).flatten(1, 2))
    return torch.cat(padded, dim=1)


def _table_layout(sizes: Sizes, points: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """w, h, row stride and index of the origin in the bordered table, each (L P,)."""
    rows, start = [], 0
    for height, width in sizes:
        stride = width + 3
        rows += [(width, height, stride, start + stride + 1)] * points
        start += stride * (height + 3)
    return list(torch.tensor(rows, dtype=dtype, device=device).T)
