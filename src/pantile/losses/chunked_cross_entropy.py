"""Cross-entropy of resized class logits, a few rows at a time.

At the labels' resolution there are B * k * H * W logits: 2.7 GB for two images of 512 x 512 and 1284 classes, and three
times that with what autograd keeps. Their gradient, softmax minus one-hot, is known as soon as the softmax is, so it is
taken back to the logits' own stride in the forward pass, and nothing of the labels' resolution outlives its chunk.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pantile.contracts.precision import in_float32
from pantile.losses.resampling import resize_matrix, source_spans


@in_float32
def cross_entropy_sum(logits: Tensor, target: Tensor, aligned: bool = False, chunk_rows: int | None = 32) -> Tensor:
    """The sum over all pixels with a target, 0 where there are none.

    Args:
        logits: (B, k, h, w), resized bilinearly to the targets' size.
        target: (B, H, W) int64, 0..k-1, or -1 for pixels that do not count.
        aligned: corners, while resizing.
        chunk_rows: rows of the targets at a time; None computes all at once and leaves the gradient to autograd.

    Returns:
        Scalar, connected to ``logits`` in any case.
    """
    if chunk_rows is None:
        size = target.shape[-2:]
        if logits.shape[-2:] != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=aligned)
        return F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
    return _ChunkedSum.apply(logits, target, aligned, chunk_rows)


class _ChunkedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, aligned: bool, chunk_rows: int) -> Tensor:
        rows, columns = (
            resize_matrix(source, wanted, aligned, logits)
            for source, wanted in zip(logits.shape[-2:], target.shape[-2:], strict=True)
        )
        gradient = torch.zeros_like(logits) if ctx.needs_input_grad[0] else None
        total = logits.new_zeros(())
        spans = source_spans(logits.shape[2], target.shape[1], aligned, chunk_rows)
        for top, (first, behind) in zip(range(0, target.shape[1], chunk_rows), spans, strict=True):
            chunk = slice(top, top + chunk_rows)
            weights = rows[chunk, first:behind]
            fine = weights @ (logits[:, :, first:behind] @ columns.T)  # (B, k, r, W)
            total += _cross_entropy(fine, target[:, chunk])
            if gradient is not None:
                gradient[:, :, first:behind] += (weights.T @ fine) @ columns
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_sum: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * of_sum, None, None, None


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The sum over labelled pixels of (B, k, r, W) and (B, r, W); the logits become its gradient, in place."""
    labelled, channel = target >= 0, target.clamp(min=0)[:, None]
    logits -= logits.amax(dim=1, keepdim=True)
    of_target = logits.gather(1, channel)[:, 0]
    total = logits.exp_().sum(dim=1)
    loss = torch.where(labelled, total.log() - of_target, 0).sum()
    logits /= total[:, None]
    logits.scatter_add_(1, channel, logits.new_full((), -1).expand_as(channel))
    logits *= labelled[:, None]
    return loss
