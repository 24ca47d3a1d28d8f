"""Losses of multi-label classification: which classes an image shows.

The asymmetric loss (Ben-Baruch et al., ICCV 2021) forgets easy absent classes faster than easy present ones, because an
image of a large vocabulary shows few classes and lacks many:

    p = sigmoid(x),   q = max(p - margin, 0)
    present  -(1 - p)^gamma_positive log p,      absent  -q^gamma_negative log(1 - q)

The authors add over classes; RankSeg's code takes the mean over classes and images, which is why its weights are 5 to
300. So do we.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.precision import in_float32

SMALLEST = 1e-5  # of a probability below a logarithm


@in_float32
def asymmetric_loss(
    logits: Tensor, present: Tensor, gamma_positive: float = 0.0, gamma_negative: float = 2.0, margin: float = 0.05
) -> Tensor:
    """
    Args:
        logits: (B, K), for a sigmoid.
        present: (B, K) bool or 0..1.
        gamma_positive: focusing of present classes, >= 0.
        gamma_negative: focusing of absent classes, >= 0.
        margin: absent classes below this probability cost nothing, 0..1.

    Returns:
        The mean over images and classes.
    """
    present = present.to(logits.dtype)
    probability = logits.sigmoid()
    absence = (1 - probability + margin).clamp(max=1)
    right = torch.where(present > 0, probability, absence)
    log_likelihood = right.clamp(min=SMALLEST).log()
    gamma = gamma_positive * present + gamma_negative * (1 - present)
    return -((1 - right) ** gamma * log_likelihood).mean()


@in_float32
def presence_cross_entropy(logits: Tensor, present: Tensor) -> Tensor:
    """Binary cross-entropy of (B, K) logits, the mean over images and classes."""
    return F.binary_cross_entropy_with_logits(logits, present.to(logits.dtype))
