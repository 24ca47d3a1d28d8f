"""Masks as independent yes-or-no questions: cross-entropy, focal loss and dice, for given pairs and for all pairs.

    cross-entropy   softplus(-x) t + softplus(x) (1 - t)
    focal           0.25 (1 - s)^2 softplus(-x) t + 0.75 s^2 softplus(x) (1 - t)        (arXiv 1708.02002, equation 5)
    dice            1 - (2 sum s t + 1) / (sum s + sum t + 1)

for logits x, s = sigmoid(x) and targets t; the first two are means over points. P points or pixels.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.precision import in_float32
from pantile.losses.pq_style import dice_loss

MaskForm = Literal["cross_entropy", "focal"]
FOCAL_POSITIVE = 0.25  # alpha; the exponent gamma is 2


@in_float32
def mask_and_dice_losses(logits: Tensor, targets: Tensor, form: MaskForm) -> tuple[Tensor, Tensor]:
    """Of M pairs.

    Args:
        logits: (M, P).
        targets: (M, P) 0..1; 0 or 1 for "focal".

    Returns:
        (M,) cross-entropy or focal loss and (M,) dice loss.
    """
    if form == "focal":
        wrong = logits * (1 - 2 * targets)  # the logit of the other answer
        share = 1 - FOCAL_POSITIVE + (2 * FOCAL_POSITIVE - 1) * targets
        loss = share * wrong.sigmoid() ** 2 * F.softplus(wrong)
    else:
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return loss.mean(dim=1), dice_loss(logits.sigmoid()[None], targets[None])[0]


@torch.no_grad()
@in_float32
def mask_and_dice_costs(logits: Tensor, targets: Tensor, form: MaskForm) -> tuple[Tensor, Tensor]:
    """Of every query with every row.

    Args:
        logits: (B, N, P).
        targets: (B, G, P) 0..1.

    Returns:
        (B, N, G) each.
    """
    if form == "focal":
        probability = logits.sigmoid()
        positive = FOCAL_POSITIVE * (1 - probability) ** 2 * F.softplus(-logits)
        negative = (1 - FOCAL_POSITIVE) * probability**2 * F.softplus(logits)
        on_target = positive - negative
    else:
        negative = F.softplus(logits)
        on_target = -logits  # softplus(-x) - softplus(x)
    transposed = targets.transpose(1, 2)
    mask = (on_target @ transposed + negative.sum(dim=2)[:, :, None]) / logits.shape[2]
    probability = logits.sigmoid()
    total = probability.sum(dim=2)[:, :, None] + targets.sum(dim=2)[:, None]
    return mask, 1 - (2 * (probability @ transposed) + 1) / (total + 1)
