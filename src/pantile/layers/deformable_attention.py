"""Multi-scale deformable attention (Deformable DETR, arXiv:2010.04159, equation 3), without a compiled extension.

Every pixel of every map reads a few points per head and map, at learned offsets from itself, and sums them with
learned weights:

    out(q) = W_o concat_m sum_{l, p} A[q, m, l, p] bilinear(V_l^m, r_q W_l + offset[q, m, l, p]),   sum_{l, p} A = 1

Outside of a map the value is zero. The same sum is written twice: a weighted bag of table rows, which is the faster
on a CPU (benchmarks/deformable_attention.py), and ``grid_sample``, for other devices and for exported programs.

The pixels may also be those of other maps of the same image, as in ViT-Adapter.

Shapes: B images, S pixels of all L maps together, Q pixels that read (the same S, if not told), M heads, P points, D
channels of a head.
"""

import math
import warnings
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from pantile.layers.position_encoding import Sizes, cached_by_arguments


class MultiScaleDeformableAttention(nn.Module):
    """Attention of pixels to the pixels of several maps.

    Args:
        channels: C.
        num_heads: M.
        num_levels: L.
        num_points: P, per head and map.
        value_channels: M D, a multiple of M; None is C.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 8,
        num_levels: int = 3,
        num_points: int = 4,
        value_channels: int | None = None,
    ):
        super().__init__()
        width = channels if value_channels is None else value_channels
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(channels, 2 * samples)  # rows by head, map, point, (x, y)
        self.attention_weights = nn.Linear(channels, samples)
        self.value_proj = nn.Linear(channels, width)
        self.output_proj = nn.Linear(width, channels)
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

    def forward(self, query: Tensor, value: Tensor, sizes: Sizes, query_sizes: Sizes | None = None) -> Tensor:
        """
        Args:
            query: (B, Q, C), the pixels that read, with their positions.
            value: (B, S, C), the pixels that are read.
            sizes: (h, w) of each map that is read; their pixels follow each other row by row.
            query_sizes: likewise of the maps of ``query``, all of the same part of the image; None is ``sizes``.

        Returns:
            (B, Q, C).
        """
        heads, samples = self.num_heads, self.num_levels * self.num_points
        weights = _softmax_of_few(self.attention_weights(query).unflatten(2, (heads, samples)))
        # all x before all y, so that everything that follows runs over contiguous memory
        order = self.sampling_offsets.weight.unflatten(0, (heads * samples, 2)).transpose(0, 1).flatten(0, 1)
        bias = self.sampling_offsets.bias.unflatten(0, (heads * samples, 2)).transpose(0, 1).flatten()
        offsets = F.linear(query, order, bias).unflatten(2, (2, heads, samples))
        centers = pixel_centers(sizes, self.num_points, query.device, query_sizes or sizes)
        x, y = (offsets + centers.to(offsets.dtype)).unbind(2)
        values = self.value_proj(value).unflatten(2, (heads, -1))
        by_bags = values.device.type == "cpu" and not torch.compiler.is_exporting()
        sample = weighted_samples_by_bags if by_bags else weighted_samples_by_grid
        return self.output_proj(sample(values, sizes, x, y, weights))


def _softmax_of_few(logits: Tensor) -> Tensor:
    """Softmax over a short last dimension, for which torch's own takes ten times as long on a CPU."""
    exponentials = (logits - logits.detach().amax(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)


@cached_by_arguments
def pixel_centers(sizes: Sizes, num_points: int, device: torch.device, query_sizes: Sizes) -> Tensor:
    """Where each pixel of the maps of ``query_sizes`` lies on each map of ``sizes``, in that map's pixels, 0 being the
    centre of its first pixel.

    Returns:
        (Q, 2, 1, L P) float32: x and y, repeated for every point.
    """
    relative = []
    for height, width in query_sizes:
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
        x: (B, Q, M, L P) column in the map's pixels; outside of -1..w the value is zero.
        y: (B, Q, M, L P) row, likewise.
        weights: (B, Q, M, L P).

    Returns:
        (B, Q, M D).
    """
    batch, length, heads, _ = x.shape
    points = x.shape[3] // len(sizes)
    total = None
    maps = values.split([height * width for height, width in sizes], dim=1)
    columns, rows, shares = (t.split(points, dim=3) for t in (x, y, weights))
    for (height, width), level, column, row, share in zip(sizes, maps, columns, rows, shares, strict=True):
        level = level.permute(0, 2, 3, 1).reshape(batch * heads, -1, height, width)
        grid = torch.stack([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1], dim=4)
        grid = grid.transpose(1, 2).flatten(0, 1)  # (B M, Q, P, 2)
        sampled = F.grid_sample(level, grid, align_corners=False)  # (B M, D, Q, P)
        summed = (sampled * share.transpose(1, 2).flatten(0, 1)[:, None]).sum(dim=3)
        total = summed if total is None else total + summed
    return total.unflatten(0, (batch, heads)).permute(0, 3, 1, 2).reshape(batch, length, -1)


def weighted_samples_by_bags(values: Tensor, sizes: Sizes, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """The same as ``weighted_samples_by_grid``: the four neighbours of each sample are rows of one table.

    The table is a canvas with the maps below each other, and two lines of zeros all around each of them. So no
    neighbour needs a test, and the step to a neighbour is the same everywhere: a coordinate is clamped to -2..w,
    where all that is seen is border, by its gradient too.
    """
    canvas = _canvas(values.flatten(2), sizes)
    return _WeightedBags.apply(canvas.unflatten(3, (x.shape[2], -1)), sizes, x, y, weights)


def _canvas(maps: Tensor, sizes: Sizes) -> Tensor:
    """(B, S, C) -> (B, sum (h + 4), max w + 4, C)."""
    stride = max(width for _, width in sizes) + 4
    padded = []
    for (height, width), level in zip(sizes, maps.split([h * w for h, w in sizes], dim=1), strict=True):
        padded.append(F.pad(level.unflatten(1, (height, width)), (0, 0, 2, stride - width - 2, 2, 2)))
    return torch.cat(padded, dim=1)


class _WeightedBags(torch.autograd.Function):
    """Bags of table rows with a gradient of our own, since torch's sorts all rows of all bags.

    The gradient of the table is a weighted bag too, of the gradients of those that read a row. All four neighbours
    of a sample follow from the first, so the samples are sorted by that one only, and each neighbour's share of the
    gradient is summed as if it were the first, then moved by its step. What a share gets is a product of two rows,
    of which ``sampled_addmm`` computes those that are asked for.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, canvas: Tensor, sizes: Sizes, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """canvas (B, H, W, M, D), x, y and weights (B, Q, M, L P) -> (B, Q, M D)."""
        _, canvas_height, stride, heads, _ = canvas.shape
        first, right, down = _first_neighbours(sizes, canvas_height, stride, x, y)
        ctx.steps = (0, heads, stride * heads, (stride + 1) * heads)
        ctx.save_for_backward(canvas, weights, first, right, down)
        shares = torch.stack(_shares(weights, right, down), dim=3)
        bags = F.embedding_bag(
            _neighbours(first, ctx.steps),
            canvas.flatten(0, 3),
            mode="sum",
            per_sample_weights=shares.flatten(3).flatten(0, 2),
        )
        return bags.view(*x.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        canvas, weights, first, right, down = ctx.saved_tensors
        table = canvas.flatten(0, 3)
        grad = grad.reshape(-1, table.shape[1])

        grad_canvas = None
        if ctx.needs_input_grad[0]:
            grad_canvas = _sum_of_readers(grad, len(table), first, ctx.steps, _shares(weights, right, down))
            grad_canvas = grad_canvas.view(canvas.shape)

        products = _row_products(grad, table, _neighbours(first, ctx.steps))
        upper_left, upper_right, lower_left, lower_right = products.view(*first.shape[:3], 4, -1).unbind(3)
        upper, lower = upper_left.lerp(upper_right, right), lower_left.lerp(lower_right, right)
        grad_x = weights * (upper_right - upper_left).lerp(lower_right - lower_left, down)
        return grad_canvas, None, grad_x, weights * (lower - upper), upper.lerp(lower, down)


def _first_neighbours(
    sizes: Sizes, canvas_height: int, stride: int, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Table row of each sample's upper left neighbour, int32; how far right and down of it the sample lies, 0..1."""
    batch, _, heads, samples = x.shape
    points = samples // len(sizes)
    layout, start = [], 0
    for height, width in sizes:
        layout += [(width, height, (start + 2) * stride + 2)] * points
        start += height + 4
    width, height, origin = torch.tensor(layout, dtype=x.dtype, device=x.device).T
    edge = torch.full_like(width, -2)
    x, y = x.clamp(edge, width), y.clamp(edge, height)
    left, top = x.floor(), y.floor()
    # a diverged offset must become a NaN in the output, not a wild address
    pixel = (top * stride + (left + origin)).nan_to_num(nan=0.0).int()
    head = torch.arange(heads, device=x.device, dtype=torch.int32)[:, None]
    image = torch.arange(batch, device=x.device, dtype=torch.int32)[:, None, None, None]
    return pixel * heads + (head + image * (canvas_height * stride * heads)), x - left, y - top


def _neighbours(first: Tensor, steps: tuple[int, ...]) -> Tensor:
    """(B, Q, M, L P) -> (B Q M, 4 L P)."""
    steps = torch.tensor(steps, dtype=first.dtype, device=first.device)[:, None]
    return (first[:, :, :, None] + steps).flatten(3).flatten(0, 2)


def _shares(weights: Tensor, right: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the upper left, upper right, lower left and lower right neighbour contribute."""
    weights_right, weights_down = weights * right, weights * down
    corner = weights_right * down
    upper_right = weights_right - corner
    return weights - weights_down - upper_right, upper_right, weights_down - corner, corner


def _sum_of_readers(
    grad: Tensor, rows: int, first: Tensor, steps: tuple[int, ...], shares: tuple[Tensor, ...]
) -> Tensor:
    """(bags, D) gradients of the bags -> (rows, D) gradient of the table."""
    order = first.flatten().argsort()
    reader = (order // first.shape[3]).int()
    readers = first.flatten().bincount(minlength=rows)
    starts = (readers.cumsum(0) - readers).int()
    total = grad.new_zeros(rows, grad.shape[1])
    for step, share in zip(steps, shares, strict=True):
        in_order = share.flatten().index_select(0, order)
        summed = F.embedding_bag(reader, grad, starts, mode="sum", per_sample_weights=in_order)
        total[step:] += summed[: rows - step]
    return total


def _row_products(left: Tensor, right: Tensor, index: Tensor) -> Tensor:
    """(R, D), (T, D) and (R, n) -> (R, n): left[r] . right[index[r, n]]."""
    _let_torch_warn_unheard()
    ends = torch.arange(0, index.numel() + 1, index.shape[1], dtype=index.dtype, device=index.device)
    wanted = torch.sparse_csr_tensor(
        ends,
        index.flatten(),
        left.new_zeros(index.numel()),
        (len(left), len(right)),
        check_invariants=False,  # columns of a row may repeat, and need no order
    )
    return torch.sparse.sampled_addmm(wanted, left, right.T, beta=0.0).values().view(index.shape)


@cache
def _let_torch_warn_unheard() -> None:
    """torch warns once in a process that its CSR tensors are young; a filter in every step would renew others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        torch.zeros(1, 1).to_sparse_csr()
