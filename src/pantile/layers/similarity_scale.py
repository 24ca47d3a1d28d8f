"""Batch norm of attention logits without the logits.

Each term of an axial attention's logits passes a batch norm with one channel per head (``axial_attention``). Its shift
and the mean that it subtracts are the same for all keys of a query, so the softmax takes no notice of them; what is
left is a scale, gamma / sqrt(variance + eps). Mean and variance over all lines, queries and keys follow from sums over
single positions:

    sum_lm (x_l . y_m)       = (sum_l x_l) . (sum_m y_m)
    sum_lm (x_l . y_m)^2     = < sum_l x_l x_l^T , sum_m y_m y_m^T >

Shape suffixes as in ``axial_attention``.
"""

import torch
from torch import Tensor, nn

from pantile.contracts.precision import at_least_float32
from pantile.layers.batch_statistics import running_scale_and_shift, scale_and_shift


def similarity_scale(norm: nn.Module, q_RLND: Tensor, k_RLND: Tensor, rq_LMD: Tensor, rk_LMD: Tensor) -> Tensor:
    """By what the three terms q.k, q.r^q and k.r^k are multiplied: (3N,), float32 at least.

    Args:
        norm: batch norm of 3N channels, term-major. In training its running statistics move.
        q_RLND, k_RLND: queries and keys of all lines.
        rq_LMD, rk_LMD: rows of the tables for each pair of positions.
    """
    if not norm.training:
        return running_scale_and_shift(norm)[0]
    q, k, rq, rk = map(at_least_float32, (q_RLND, k_RLND, rq_LMD, rk_LMD))
    terms = (_sums_of_products(q, k), _sums_with_table(q, rq), _sums_with_table(k, rk.transpose(0, 1)))
    sums, squares = (torch.cat(parts) for parts in zip(*terms, strict=True))
    lines, length = q.shape[:2]
    scale, _ = scale_and_shift(norm, sums, squares, lines * length**2)
    return scale + 0.0 * norm.bias  # no effect, but every weight has a gradient, as processes that share them expect


def _sums_of_products(x_RLND: Tensor, y_RLND: Tensor) -> tuple[Tensor, Tensor]:
    """Over all pairs of positions of a line: the sum of products and of their squares, (N,) float64 each."""
    first = (x_RLND.sum(1).double() * y_RLND.sum(1).double()).sum((0, 2))
    return first, (_gram(x_RLND).double() * _gram(y_RLND).double()).sum((0, 2, 3))


def _sums_with_table(x_RLND: Tensor, r_LMD: Tensor) -> tuple[Tensor, Tensor]:
    """The same for vectors at position l with the rows r_lm of a table."""
    first = (x_RLND.sum(0).double() * r_LMD.sum(1).double()[:, None]).sum((0, 2))
    gram_LNDD = _gram(x_RLND.transpose(0, 1))
    gram_LDD = r_LMD.transpose(1, 2) @ r_LMD
    return first, (gram_LNDD.double() * gram_LDD.double()[:, None]).sum((0, 2, 3))


def _gram(x_RLND: Tensor) -> Tensor:
    """(R, N, D, D): sum over the second dimension of the outer products."""
    x_RNLD = x_RLND.transpose(1, 2)
    return x_RNLD.transpose(2, 3) @ x_RNLD
