"""ReClass: soften the class target of a query by what its mask covers (ReMaX, section 3.2, equations 3 and 4).

    y_m   = sigma(m_pan)^T S / sum_i s_i               (N x K: share of each class's area under the mask)
    y_hat = eta y_m + (1 - eta) y

Readings where the paper is silent: sum_i s_i is the ground-truth area of each class, so absent classes get 0 and a
row need not sum to one; void pixels are in no s_i; m_pan is the model's own (unrelaxed) prediction with its gradient
stopped; only matched queries are softened; every supervised output is. In a clip, areas are those of all its frames.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.precision import autocast_off
from pantile.contracts.targets import PanopticTargets
from pantile.techniques.base import TECHNIQUES, Technique


@TECHNIQUES.register("reclass")
@dataclass
class ReClassConfig:
    eta: float = 0.1  # Table 4: 0, 0.01, 0.05, 0.1, 0.2; 0 switches ReClass off
    activation: Literal["sigmoid", "softmax"] = "sigmoid"  # sigma of equation 3, the same as the mask loss's

    def make(self) -> "ReClass | None":
        return ReClass(self) if self.eta > 0 else None


class ReClass(Technique):
    def __init__(self, config: ReClassConfig) -> None:
        super().__init__()
        self.config = config

    def before_loss(self, output: MaskOutput, raw: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        layers = tuple(
            self._soften(layer, raw_layer, targets) for layer, raw_layer in zip(output.layers, raw.layers, strict=True)
        )
        return replace(self._soften(output, raw, targets), layers=layers)

    def _soften(self, output: MaskOutput, raw: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        soft = class_coverage(raw.mask_logits.detach(), targets, raw.num_classes, self.config.activation)
        return output.softened(LabelMix(soft, self.config.eta))


def class_coverage(
    mask_logits: Tensor, targets: PanopticTargets, num_classes: int, activation: Literal["sigmoid", "softmax"]
) -> Tensor:
    """Equation 3: which share of each class's area each mask covers.

    Args:
        mask_logits: (B, N, h, w).

    Returns:
        (B, N, K) float32, 0..1; 0 for classes that the image or clip lacks.
    """
    masks = targets.masks_at(mask_logits.shape[-2:])
    logits = mask_logits.float()
    probability = logits.sigmoid() if activation == "sigmoid" else logits.softmax(dim=1)
    with autocast_off(mask_logits.device):
        per_mask = torch.bmm(probability.flatten(2), masks.one_hot().transpose(1, 2))  # (B, N, G)
    rows = masks.labels.clamp(min=0)  # absent rows have area 0 and add nothing
    shape = (logits.shape[0], num_classes)
    class_area = logits.new_zeros(shape).scatter_add_(1, rows, masks.areas())
    overlap = logits.new_zeros(shape[0], logits.shape[1], num_classes)
    overlap.scatter_add_(2, rows[:, None].expand_as(per_mask), per_mask)
    if targets.frames > 1:
        class_area, overlap = (_over_clips(values, targets.frames) for values in (class_area, overlap))
    return overlap / class_area.clamp(min=1.0)[:, None]


def _over_clips(values: Tensor, frames: int) -> Tensor:
    """(B, ...) of frames to the sums of their clips, in the place of each."""
    return values.unflatten(0, (-1, frames)).sum(dim=1).repeat_interleave(frames, dim=0)
