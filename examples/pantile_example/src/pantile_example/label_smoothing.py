"""Label smoothing: the class target of a matched query is mixed with the uniform distribution.

y_hat = amount / K + (1 - amount) y
"""

from dataclasses import dataclass, replace

import torch

from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.techniques import TECHNIQUES, Technique


@TECHNIQUES.register("label_smoothing")
@dataclass
class LabelSmoothingConfig:
    """
    Attributes:
        amount: 0..1; 0 switches it off.
    """

    amount: float = 0.1

    def make(self) -> "LabelSmoothing | None":
        return LabelSmoothing(self.amount) if self.amount > 0 else None


class LabelSmoothing(Technique):
    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def before_loss(self, output: MaskOutput, raw: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        layers = tuple(self._softened(layer) for layer in output.layers)
        return replace(self._softened(output), layers=layers)

    def _softened(self, output: MaskOutput) -> MaskOutput:
        uniform = torch.full_like(output.class_logits[..., :-1], 1 / output.num_classes, dtype=torch.float32)
        return output.softened(LabelMix(uniform, self.amount))
