"""ReMask: relax mask logits with a semantic prediction, in training only (ReMaX, section 3.1, equations 1 and 2).

    m_sem_hat = sigma(m_sem) sigma(p^T)                (HW x K times K x N)
    m_pan_hat = m_pan + m_sem_hat * m_pan              (the identity is kept, so the branch can be dropped)

m_sem comes from a semantic head on each relaxed layer; p are that layer's class logits. The relaxed m_pan_hat gets
the panoptic losses, m_sem a semantic loss of its own and, by stop-gradient, nothing else. Works on any model that
gives ``MaskOutput`` with layers.

Readings where the paper is silent:
- x_sem ("the key"): ``pixel_embed`` of the layer, what the queries multiply; ``pixel_feature`` is an option.
- The head: ASPP of 256 channels with rates 6, 12, 18 and a 1x1 convolution, one head per stage, not shared.
- p: the K real classes; the no-object column is dropped before the sigmoid.
- Magnitude: a sum over K products of sigmoids is about K/4 at first, which would multiply logits by 30 on COCO.
  L_sem is a per-class binary cross-entropy, the head starts at a low prior, and m_sem_hat is clamped to 1.
- The gradient through sigma(p) is stopped together with m_sem (``class_gradient`` restores the literal reading).
- The k-means assignment inside the model keeps the unrelaxed m_pan (``steer`` relaxes it as well; then, and only
  then, the branch can also act at test time, as in the paper's Table 5). It is made for models with k-means: the
  attention areas of Mask2Former are where masks are positive, and a relaxed mask has the sign that it had.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.contracts.assignment import Assignment
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.precision import autocast_off
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.layers.aspp import ASPP
from pantile.losses import semantic_loss
from pantile.techniques.base import TECHNIQUES, Technique


@TECHNIQUES.register("remask")
@dataclass
class ReMaskConfig:
    """Every row of the paper's Tables 2, 3, 5, 7 and 8 is a setting of these fields."""

    # relaxed outputs, counted from the first layer's (Table 3: 0, 2, 4, 6); models of one layer a stride use 2, those
    # without layers 1, which is the final output
    stages: int = 4
    activation: Literal["sigmoid", "softmax"] = "sigmoid"  # sigma of equation 1 (Table 2)
    weight: float = 0.5  # of L_sem, per stage; 0 switches ReMask off
    masking: bool = True  # False: only L_sem, no relaxed masks (Table 8)
    identity: bool = True  # False: m_pan_hat = m_sem_hat * m_pan (Table 5)
    stop_gradient: bool = True  # no panoptic gradient into m_sem (Table 7)
    class_gradient: bool = False  # let the panoptic gradient pass through sigma(p)
    source: Literal["prediction", "ground_truth"] = "prediction"  # ground truth in place of m_sem (Table 7)
    feature: Literal["pixel_embed", "pixel_feature"] = "pixel_embed"  # what the semantic head reads
    semantic_kind: Literal["sigmoid", "softmax"] = "sigmoid"  # L_sem: binary per class, or softmax over classes
    clamp: bool = True  # keep m_sem_hat in 0..1
    steer: bool = False  # also relax the masks by which the model assigns pixels to queries
    at_test: bool = False  # keep the branch at inference (Table 5); needs steer
    channels: int = 256  # of the semantic heads

    def make(self) -> "ReMask | None":
        return ReMask(self) if self.weight > 0 and self.stages > 0 else None


class ReMask(Technique):
    def __init__(self, config: ReMaskConfig) -> None:
        super().__init__()
        if config.at_test and not config.steer:
            raise UserError(
                "techniques.remask.at_test needs techniques.remask.steer=true: "
                "without it no relaxed mask takes part in inference."
            )
        if config.steer and config.source == "ground_truth":
            raise UserError(
                "techniques.remask.steer cannot go with techniques.remask.source=ground_truth, "
                "because a model never sees targets: switch one of them off."
            )
        self.config = config
        self.needed_at_inference = config.at_test
        self.heads = nn.ModuleList()

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        spec = model.mask_spec
        if self.config.stages > spec.num_layers + 1:
            raise UserError(
                f"techniques.remask.stages is {self.config.stages}, but the model has {spec.num_layers} layer outputs "
                "and a final one: lower it."
            )
        channels = spec.embed_channels if self.config.feature == "pixel_embed" else spec.feature_channels
        if self.config.source == "prediction":
            self.heads.extend(
                SemanticHead(channels, self.config.channels, spec.num_classes) for _ in range(self.config.stages)
            )

    def attach(self, model: nn.Module) -> None:
        if not self.config.steer:
            return
        if not hasattr(model, "steer"):
            raise UserError(
                f"techniques.remask.steer relaxes the masks by which a model assigns pixels to queries, and "
                f"{type(model).__name__} assigns none: set techniques.remask.steer=false."
            )
        model.steer = self._steer

    def before_loss(self, output: MaskOutput, raw: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        outputs = [*output.layers, output]
        self.semantic_logits = []
        for stage in range(self.config.stages):
            semantic_logits, semantic = self._semantic(stage, outputs[stage], targets)
            self.semantic_logits.append(semantic_logits)
            relaxed = self._relax(outputs[stage], semantic) if self.config.masking else outputs[stage].mask_logits
            if outputs[stage].semantic_logits is not None:  # of the model's own head, which has a loss of its own
                semantic_logits = outputs[stage].semantic_logits
            outputs[stage] = replace(outputs[stage], mask_logits=relaxed, semantic_logits=semantic_logits)
        return replace(outputs[-1], layers=tuple(outputs[:-1]))

    def extra_losses(self, output: MaskOutput, targets: PanopticTargets, assignment: Assignment) -> dict[str, Tensor]:
        """L_sem (weight applied, summed over the relaxed stages)."""
        if self.config.source == "ground_truth":
            return {}
        total = output.class_logits.new_zeros((), dtype=torch.float32)
        for logits in self.semantic_logits:
            semantic = targets.masks_at(logits.shape[-2:]).semantic()
            total = total + semantic_loss(logits, semantic, kind=self.config.semantic_kind)
        return {"semantic": self.config.weight * total}

    def _semantic(self, stage: int, layer: MaskOutput, targets: PanopticTargets) -> tuple[Tensor | None, Tensor]:
        """The head's logits, and sigma(m_sem) (B, K, h, w) with its gradient stopped or not."""
        if self.config.source == "ground_truth":
            semantic = targets.masks_at(layer.mask_logits.shape[-2:]).semantic()
            one_hot = F.one_hot(semantic.clamp(min=0), layer.num_classes) * (semantic >= 0)[..., None]
            return None, one_hot.permute(0, 3, 1, 2).float()
        logits = self.heads[stage](getattr(layer, self.config.feature))
        return logits, self._activate(logits.detach() if self.config.stop_gradient else logits)

    def _activate(self, semantic_logits: Tensor) -> Tensor:
        logits = semantic_logits.float()
        return logits.sigmoid() if self.config.activation == "sigmoid" else logits.softmax(dim=1)

    def _relax(self, layer: MaskOutput, semantic: Tensor) -> Tensor:
        """Equations 1 and 2. Returns (B, N, h, w) mask logits."""
        class_logits = layer.class_logits.float()
        if not self.config.class_gradient:
            class_logits = class_logits.detach()
        if self.config.activation == "sigmoid":
            classes = class_logits[..., :-1].sigmoid()
        else:
            classes = class_logits.softmax(dim=-1)[..., :-1]
        with autocast_off(semantic.device):
            hat = torch.bmm(classes, semantic.flatten(2)).view_as(layer.mask_logits)  # (B, N, h, w)
        if self.config.clamp:
            hat = hat.clamp(max=1.0)
        return layer.mask_logits * (1.0 + hat if self.config.identity else hat)

    def _steer(self, stage: int, layer: MaskOutput) -> Tensor:
        """The model's seam: mask logits by which layer ``stage`` assigns pixels."""
        if stage >= self.config.stages or not (self.training or self.config.at_test):
            return layer.mask_logits
        logits = self.heads[stage](getattr(layer, self.config.feature))
        return self._relax(layer, self._activate(logits.detach()))


class SemanticHead(nn.Module):
    """ASPP and a 1x1 convolution to K classes, starting at a probability of 1 % per class."""

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.aspp = ASPP(in_channels, channels)
        self.classify = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.constant_(self.classify.bias, -math.log(99.0))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, h, w) logits"""
        return self.classify(self.aspp(feature))
