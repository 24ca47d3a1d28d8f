"""Dice with squares in the denominator (Milletari et al. 2016), as Panoptic FCN uses it, for many masks at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

_PIXELS_AT_A_TIME = 2**21  # of masks


def squared_dice(logits: Tensor, masks: Tensor, rows: Tensor) -> Tensor:
    """(B, N): 1 - 2 sum p t / (sum p^2 + sum t^2) of each query and its row's mask; of row -1 it means nothing.

    Args:
        logits: (B, N, h, w).
        masks: (B, R, h, w) 0..1.
        rows: (B, N) int64.
    """
    batch, queries, h, w = logits.shape
    image = torch.arange(batch, device=rows.device)[:, None]
    row = (image * masks.shape[1] + rows.clamp(min=0)).flatten()
    flat = logits.reshape(batch * queries, h * w)
    return _Dice.apply(flat, masks.reshape(-1, h * w), row).view(batch, queries)


class _Dice(torch.autograd.Function):
    """(M, P) logits, (R, P) masks and the (M,) mask of each: (M,), at least float32.

    Some masks at a time, forwards and backwards, so that probabilities and targets never exist for all queries at once.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, masks: Tensor, row: Tensor) -> Tensor:
        inside, squares = [], []
        for part, own in _parts(logits, row):
            probability, target = _wide(part).sigmoid(), masks.index_select(0, own)
            inside.append((probability * target).sum(dim=1))
            squares.append(probability.square().sum(dim=1) + target.square().sum(dim=1))
        inside, squares = torch.cat(inside), torch.cat(squares).clamp(min=1e-8)
        ctx.save_for_backward(logits, masks, row, inside, squares)
        return 1 - 2 * inside / squares

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, masks, row, inside, squares = ctx.saved_tensors
        of_target = (-2 * gradient / squares)[:, None]
        of_probability = (4 * gradient * inside / squares**2)[:, None]
        result = torch.empty_like(logits)
        start = 0
        for part, own in _parts(logits, row):
            these = slice(start, start + len(own))
            probability = _wide(part).sigmoid()
            slope = masks.index_select(0, own).to(probability.dtype).mul_(of_target[these])
            slope.addcmul_(probability, of_probability[these])
            result[these] = slope.mul_(probability).mul_(1 - probability)
            start += len(own)
        return result, None, None


def _parts(logits: Tensor, row: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    at_a_time = max(1, _PIXELS_AT_A_TIME // logits.shape[1])
    yield from zip(logits.split(at_a_time), row.split(at_a_time), strict=True)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
