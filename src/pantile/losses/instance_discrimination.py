"""Pixel-contrastive instance discrimination (CMT-DeepLab): pixels of one segment look alike, others do not.

With S_ij = f_i . f_j / t over K drawn pixels, the cross-entropy of row i against the normalised indicator of its
segment is, in closed form,

    loss_i = log sum_j exp S_ij  -  f_i . (mean of f over the segment's drawn pixels) / t,

so only the log-sum-exp meets K x K numbers. They are symmetric and bounded by 1 / t for unit features, hence: only
the blocks on and above the diagonal are computed, each serves its rows and its columns, no maximum is needed, and the
backward pass makes the blocks anew. Memory grows with K times the block size.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pantile.contracts.precision import in_float32
from pantile.losses.matching import one_hot_rows


@in_float32
def pixel_contrastive_loss(
    features: Tensor,
    segments: Tensor,
    num_segments: int,
    temperature: float = 0.3,
    block_dtype: torch.dtype | None = None,
) -> Tensor:
    """Mean loss over the pixels that belong to a segment.

    Void pixels take no part: neither as rows nor among the pixels that others are compared with.

    Args:
        features: (B, K, D), of norm about 1 at most: exp(norm^2 / temperature) must stay finite.
        segments: (B, K) int64 segment of each pixel, 0..num_segments-1, or -1 on void.
        num_segments: G.
        temperature: t.
        block_dtype: multiply the blocks in this type (bfloat16) instead of the features' own.

    Returns:
        (B,); 0 for an image without labelled pixels.
    """
    labelled = segments >= 0
    scaled = torch.where(labelled[:, :, None], features, 0.0) * temperature**-0.5
    log_sum_exp = _LogSumExpOfGram.apply(scaled, labelled.to(scaled.dtype), block_dtype or scaled.dtype)
    one_hot = one_hot_rows(segments, num_segments, scaled.dtype)
    sums = one_hot @ scaled  # (B, G, D); sum_i f_i . mean(i) = sum_g |sum of g|^2 / (pixels of g)
    alike = (sums.square().sum(dim=2) / one_hot.sum(dim=2).clamp(min=1)).sum(dim=1)
    total = torch.where(labelled, log_sum_exp, 0.0).sum(dim=1) - alike
    return total / labelled.sum(dim=1).clamp(min=1)


class _LogSumExpOfGram(torch.autograd.Function):
    """(B, K): log sum_j valid_j exp(f_i . f_j), for features (B, K, D) whose rows are zero where not valid."""

    @staticmethod
    def forward(ctx, features: Tensor, valid: Tensor, block_dtype: torch.dtype) -> Tensor:
        sums = torch.zeros_like(valid)
        for image, rows, columns, block in _upper_blocks(features, block_dtype):
            sums[image, rows].addmv_(block, valid[image, columns])
            if rows != columns:
                sums[image, columns].addmv_(block.T, valid[image, rows])
        sums.clamp_(min=torch.finfo(sums.dtype).tiny)  # only where no pixel is valid
        ctx.save_for_backward(features, sums)
        ctx.block_dtype = block_dtype
        return sums.log()

    @staticmethod
    @torch.autograd.function.once_differentiable
    @in_float32  # also where the backward pass runs under autocast
    def backward(ctx, grad: Tensor):
        features, sums = ctx.saved_tensors
        share = grad / sums  # d loss / d f_i = sum_j exp(S_ij) (share_i + share_j) f_j
        result = torch.zeros_like(features)
        for image, rows, columns, block in _upper_blocks(features, ctx.block_dtype):
            block *= share[image, rows, None] + share[image, columns]
            result[image, rows].addmm_(block, features[image, columns])
            if rows != columns:
                result[image, columns].addmm_(block.T, features[image, rows])
        return result, None, None


_BLOCK_ROWS = {"cpu": 512}  # 1 MiB of float32, about a core's cache; an accelerator wants larger products


def _upper_blocks(features: Tensor, dtype: torch.dtype) -> Iterator[tuple[int, slice, slice, Tensor]]:
    """Yields (image, rows, columns, exp of their products) over the blocks on and above the diagonal."""
    factors, pixels = features.to(dtype), features.shape[1]
    step = _BLOCK_ROWS.get(features.device.type, 2048)
    parts = [slice(start, min(start + step, pixels)) for start in range(0, pixels, step)]
    for image in range(features.shape[0]):
        for i, rows in enumerate(parts):
            for columns in parts[i:]:
                block = factors[image, rows] @ factors[image, columns].T
                yield image, rows, columns, block.to(features.dtype).exp_()
