"""Sums over all queries at the pixels of a loss, without keeping a full-resolution map per query.

The losses need three things of the (B, N, H, W) resized mask logits: their log-sum-exp over the queries, the
sum of their softplus (sigmoid losses), and the few maps of matched queries. They are computed chunk by
chunk, and recomputed in the backward pass, so that memory is B*G*H*W instead of several times B*N*H*W per layer
output. Bilinear resizing is two matrix products, whose transposes are its gradient.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pantile.contracts.precision import in_float32
from pantile.losses.resampling import corners_aligned, resize_matrix


@dataclass(frozen=True)
class QueryMaps:
    """Mask logits of one output at the P = H*W pixels of the targets.

    Attributes:
        rows: (B, G, P) logits of the query matched with each row; arbitrary finite where nothing is matched.
        log_sum_exp: (B, P) over the N queries.
        softplus_sum: (B, P) sum of log(1 + exp(logit)) over the N queries, or None.
    """

    rows: Tensor
    log_sum_exp: Tensor
    softplus_sum: Tensor | None


def query_maps(mask_logits: Tensor, matching: Tensor, size: tuple[int, int], softplus: bool = False) -> QueryMaps:
    """Resizes mask logits and reduces them over the queries; differentiable in ``mask_logits``.

    Args:
        mask_logits: (B, N, h, w).
        matching: (B, G) query of each row or -1.
        size: (H, W).
        softplus: also sum the softplus.
    """
    rows, log_sum_exp, softplus_sum = _QueryMaps.apply(mask_logits, matching.clamp(min=0), tuple(size), softplus)
    return QueryMaps(rows, log_sum_exp, softplus_sum if softplus else None)


@torch.no_grad()
def softmax_overlaps(mask_logits: Tensor, regions: Tensor, size: tuple[int, int]) -> Tensor:
    """How much of each query's soft mask lies in each region; the soft mask is a softmax over queries.

    Args:
        mask_logits: (B, N, h, w), resized to ``size`` first.
        regions: (B, R, H*W) weights.

    Returns:
        (B, N, R): sum over pixels of probability times weight.
    """
    batch, queries = mask_logits.shape[:2]
    overlaps = mask_logits.new_zeros(batch, queries, regions.shape[1])
    for image, pixels, logits in _chunks(mask_logits, size):
        rows, _, columns = logits.shape
        probability = logits.softmax(dim=1)
        weights = regions[image, :, pixels].view(-1, rows, columns).permute(1, 2, 0)
        overlaps[image] += torch.bmm(probability, weights).sum(dim=0)
    return overlaps


class _QueryMaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, mask_logits: Tensor, queries: Tensor, size: tuple[int, int], softplus: bool):
        batch, total = mask_logits.shape[0], size[0] * size[1]
        matched = mask_logits.new_empty(batch, queries.shape[1], total)
        log_sum_exp = mask_logits.new_empty(batch, total)
        softplus_sum = mask_logits.new_empty(batch, total if softplus else 0)
        for image, pixels, logits in _chunks(mask_logits, size):
            matched[image, :, pixels] = logits.index_select(1, queries[image]).transpose(0, 1).flatten(1)
            log_sum_exp[image, pixels] = logits.logsumexp(dim=1).flatten()
            if softplus:
                softplus_sum[image, pixels] = torch.nn.functional.softplus(logits).sum(dim=1).flatten()
        ctx.save_for_backward(mask_logits, queries, log_sum_exp)
        ctx.size, ctx.softplus = size, softplus
        return matched, log_sum_exp, softplus_sum

    @staticmethod
    @torch.autograd.function.once_differentiable
    @in_float32  # also where the backward pass runs under autocast
    def backward(ctx, grad_matched: Tensor, grad_log_sum_exp: Tensor, grad_softplus_sum: Tensor):
        mask_logits, queries, log_sum_exp = ctx.saved_tensors
        gradient = _ResizeGradient(mask_logits, ctx.size)
        for image, pixels, logits in _chunks(mask_logits, ctx.size):
            shape = (logits.shape[0], 1, logits.shape[2])
            chunk = (logits - log_sum_exp[image, pixels].view(shape)).exp_()
            chunk *= grad_log_sum_exp[image, pixels].view(shape)
            if ctx.softplus:
                chunk += logits.sigmoid() * grad_softplus_sum[image, pixels].view(shape)
            rows = grad_matched[image, :, pixels].unflatten(1, (shape[0], shape[2])).transpose(0, 1)
            chunk.index_add_(1, queries[image], rows)
            gradient.add(image, pixels, chunk)
        return gradient.result(), None, None, None


_CHUNK_ELEMENTS = {"cpu": 2**19}  # a chunk stays in a core's cache; an accelerator takes an image at a time


def _chunks(mask_logits: Tensor, size: tuple[int, int]) -> Iterator[tuple[int, slice, Tensor]]:
    """Yields (image, slice of flat pixels, logits (rows, N, columns)) with rows * columns = the slice's length."""
    batch, queries, h, w = mask_logits.shape
    limit = _CHUNK_ELEMENTS.get(mask_logits.device.type, 2**40)
    if (h, w) == size:
        step = max(1, limit // queries)
        for image in range(batch):
            flat = mask_logits[image].flatten(1)
            for start in range(0, h * w, step):
                pixels = slice(start, min(start + step, h * w))
                yield image, pixels, flat[None, :, pixels]
        return
    down, across = _matrices(mask_logits, size)
    wide = (mask_logits.transpose(1, 2) @ across.T).flatten(2)  # (B, h, N*W)
    step = max(1, limit // (queries * size[1]))
    for image in range(batch):
        for start in range(0, size[0], step):
            stop = min(start + step, size[0])
            logits = (down[start:stop] @ wide[image]).view(stop - start, queries, size[1])
            yield image, slice(start * size[1], stop * size[1]), logits


class _ResizeGradient:
    """Collects gradients of the chunks and brings them back to the maps' own resolution."""

    def __init__(self, mask_logits: Tensor, size: tuple[int, int]) -> None:
        self.shape, self.size = mask_logits.shape, size
        self.resized = mask_logits.shape[-2:] != size
        batch, queries, h, _ = mask_logits.shape
        if self.resized:
            self.down, self.across = _matrices(mask_logits, size)
            self.sum = mask_logits.new_zeros(batch, h, queries * size[1])
        else:
            self.sum = mask_logits.new_empty(batch, queries, size[0] * size[1])

    def add(self, image: int, pixels: slice, chunk: Tensor) -> None:
        if not self.resized:
            self.sum[image, :, pixels] = chunk[0]
            return
        rows = slice(pixels.start // self.size[1], pixels.stop // self.size[1])
        self.sum[image].addmm_(self.down[rows].T, chunk.flatten(1))

    def result(self) -> Tensor:
        if not self.resized:
            return self.sum.view(self.shape)
        batch, queries, h, _ = self.shape
        return (self.sum.view(batch, h, queries, -1) @ self.across).transpose(1, 2)


def _matrices(mask_logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    aligned = corners_aligned(size)
    h, w = mask_logits.shape[-2:]
    return resize_matrix(h, size[0], aligned, mask_logits), resize_matrix(w, size[1], aligned, mask_logits)
