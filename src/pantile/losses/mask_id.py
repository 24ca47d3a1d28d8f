"""Mask terms on the pixels: which query a pixel belongs to, and how well matched masks overlap.

Both are written over ``QueryMaps``, so that one pass over the mask logits serves the two.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.precision import in_float32
from pantile.losses.matching import drop_unmatched, one_hot_rows
from pantile.losses.pq_style import MATCHED_SHARE, dice_loss, mean_of_nonzero
from pantile.losses.query_maps import QueryMaps, query_maps
from pantile.losses.resampling import resize_bilinear

MaskActivation = Literal["softmax", "sigmoid"]


@in_float32
def mask_losses(
    mask_logits: Tensor, index: Tensor, matching: Tensor, weights: Tensor, activation: MaskActivation = "softmax"
) -> tuple[Tensor, Tensor]:
    """The dice term and the mask-ID term of one output.

    Pixels of rows that found no query count as void. The dice term is 0.75 / N times the weighted sum over matched
    rows, of masks that are a softmax over the queries, zero on void (MaX-DeepLab, eq. 8).

    Args:
        mask_logits: (B, N, h, w), resized to the targets' resolution.
        index: (B, H, W) row per pixel, -1 on void.
        matching: (B, G) query of each row or -1.
        weights: (B, G) constants of the dice term, 0 for rows without a query.
        activation: of the mask-ID term only, see ``mask_id_loss``.

    Returns:
        Two scalars, means over the images.
    """
    flat = drop_unmatched(index, matching).flatten(1)
    maps = query_maps(mask_logits, matching, tuple(index.shape[-2:]), softplus=activation == "sigmoid")
    one_hot = one_hot_rows(flat, matching.shape[1], maps.rows.dtype)
    probability = (maps.rows - maps.log_sum_exp[:, None]).exp() * (flat >= 0)[:, None]
    dice = (weights * dice_loss(probability, one_hot)).sum(dim=1) * (MATCHED_SHARE / mask_logits.shape[1])
    return dice.mean(), _mask_id(maps, one_hot, flat, activation).mean()


@in_float32
def mask_id_loss(
    mask_logits: Tensor, index: Tensor, matching: Tensor, activation: MaskActivation = "softmax"
) -> Tensor:
    """Cross-entropy of each labelled pixel's query.

    softmax: over the N queries, mean over the pixels whose loss is not zero.
    sigmoid: binary cross-entropy summed over the N masks, mean over the labelled pixels (ReMaX).

    Args: as ``mask_losses``. Returns a scalar.
    """
    flat = drop_unmatched(index, matching).flatten(1)
    maps = query_maps(mask_logits, matching, tuple(index.shape[-2:]), softplus=activation == "sigmoid")
    return _mask_id(maps, one_hot_rows(flat, matching.shape[1], maps.rows.dtype), flat, activation).mean()


def _mask_id(maps: QueryMaps, one_hot: Tensor, flat: Tensor, activation: MaskActivation) -> Tensor:
    """(B,)"""
    target_logit = (maps.rows * one_hot).sum(dim=1)
    labelled = flat >= 0
    if activation == "softmax":
        return mean_of_nonzero(torch.where(labelled, maps.log_sum_exp - target_logit, 0.0))
    loss = torch.where(labelled, maps.softplus_sum - target_logit, 0.0)
    return loss.sum(dim=1) / labelled.sum(dim=1).clamp(min=1)


@torch.no_grad()
@in_float32
def false_positive_negative(
    mask_logits: Tensor, index: Tensor, matching: Tensor, activation: MaskActivation = "softmax"
) -> tuple[Tensor, Tensor]:
    """Splits the binary cross-entropy of the mask probabilities at labelled pixels (ReMaX, figures 1 and 7).

    False positive: -log(1 - p) summed over the masks whose target is 0. False negative: -log p of the mask whose
    target is 1. With sigmoid probabilities their sum is ``mask_id_loss``. With softmax probabilities the false negative
    part is ``mask_id_loss`` (up to its way of counting pixels) and the false positive part is what
    binary cross-entropy would charge the same probabilities for, so that the two activations can be compared.

    Args:
        mask_logits: (B, N, h, w), resized to the index's resolution; a coarse index makes this cheap.
        index, matching: as ``mask_losses``.

    Returns:
        Two scalars: means over labelled pixels, then over images. Their ratio is what the paper draws.
    """
    flat = drop_unmatched(index, matching).flatten(1)
    logits = resize_bilinear(mask_logits, tuple(index.shape[-2:])).flatten(2)
    query_of_row = torch.cat([matching.new_zeros(matching.shape[0], 1), matching.clamp(min=0)], dim=1)
    query = query_of_row.gather(1, flat + 1)[:, None]
    if activation == "sigmoid":
        charge_if_target, charge_if_not = F.softplus(-logits), F.softplus(logits)
    else:
        log_probability = logits.log_softmax(dim=1)
        charge_if_target, charge_if_not = -log_probability, -torch.log1p(-log_probability.exp().clamp(max=1 - 1e-7))
    labelled = flat >= 0
    false_negative = charge_if_target.gather(1, query)[:, 0]
    false_positive = charge_if_not.sum(dim=1) - charge_if_not.gather(1, query)[:, 0]
    pixels = labelled.sum(dim=1).clamp(min=1)
    mean = [(torch.where(labelled, part, 0.0).sum(dim=1) / pixels).mean() for part in (false_positive, false_negative)]
    return mean[0], mean[1]
