"""Per-pixel semantic losses."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pantile.contracts.precision import in_float32
from pantile.contracts.targets import MaskTargets
from pantile.losses.pixel_draw import draw_pixels
from pantile.losses.pq_style import mean_of_nonzero


@in_float32
def semantic_loss(logits: Tensor, semantic: Tensor, kind: Literal["softmax", "sigmoid"] = "softmax") -> Tensor:
    """Mean over the labelled pixels of an image, then over the images; an image without any counts as 0.

    softmax: cross-entropy over the C channels. sigmoid: binary cross-entropy summed over the C channels.

    Args:
        logits: (B, C, h, w).
        semantic: (B, h, w) int64 class index, all below C, or -1 on void.

    Returns:
        Scalar.
    """
    labelled = semantic >= 0
    target = semantic.clamp(min=0)
    if kind == "softmax":
        loss = F.cross_entropy(logits, target, reduction="none")
    else:
        loss = F.softplus(logits).sum(dim=1) - logits.gather(1, target[:, None])[:, 0]
    loss = torch.where(labelled, loss, 0.0).flatten(1)
    return (loss.sum(dim=1) / labelled.flatten(1).sum(dim=1).clamp(min=1)).mean()


@in_float32
def hardest_semantic_loss(logits: Tensor, semantic: Tensor, share: float, weight: Tensor) -> Tensor:
    """Softmax cross-entropy on the pixels where it is greatest (deeplab2).

    Args:
        logits: (B, C, h, w).
        semantic: (B, h, w) int64 class index, or -1 on void.
        share: of all pixels of an image, 0..1.
        weight: (B, h, w), multiplies the loss of a pixel before the hardest are chosen.

    Returns:
        Scalar: mean over the chosen pixels whose loss is not zero, then over the images.
    """
    loss = (F.cross_entropy(logits, semantic, reduction="none", ignore_index=-1) * weight).flatten(1)
    hardest = loss.topk(math.ceil(share * loss.shape[1]), dim=1, sorted=False).values
    return mean_of_nonzero(hardest).mean()


@in_float32
def sampled_semantic_loss(
    logits: Tensor, masks: MaskTargets, count: int, temperature: float, generator: torch.Generator | None = None
) -> Tensor:
    """Softmax cross-entropy on drawn pixels, small segments more often (kMaX-DeepLab).

    Args:
        logits: (B, C, h, w).
        masks: targets at the logits' resolution.
        count, temperature, generator: as ``draw_pixels``.

    Returns:
        Scalar: mean over the drawn pixels whose loss is not zero, then over the images.
    """
    pixels = draw_pixels(masks.index, masks.areas(), count, temperature, generator=generator)[0]
    drawn = logits.flatten(2).gather(2, pixels[:, None].expand(-1, logits.shape[1], -1))
    target = masks.semantic().flatten(1).gather(1, pixels)
    loss = F.cross_entropy(drawn, target, reduction="none", ignore_index=-1)
    return mean_of_nonzero(loss).mean()
