"""The criterion of SeMask under Mask2Former: the set criterion, and cross-entropy of the backbone's class map."""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses.chunked_cross_entropy import cross_entropy_sum
from pantile.losses.criterion import CRITERIA
from pantile.losses.result import CriterionResult
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig


@dataclass
class SeMaskCriterionConfig(SetCriterionConfig):
    """Those of ``SetCriterionConfig``, and

    Attributes:
        kind: names this criterion among those of other families.
        semantic_weight: of the class map's cross-entropy, the mean over labelled pixels; 0 leaves it out.
    """

    kind: Literal["semask"] = "semask"
    semantic_weight: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.semantic_weight < float("inf"):
            raise UserError(f"criterion.semantic_weight is {self.semantic_weight:g}; give a weight from 0 on.")


@CRITERIA.register("semask")
class SeMaskCriterion(SetCriterion):
    """See ``SetCriterion``."""

    config_class = SeMaskCriterionConfig

    def forward(
        self, output: MaskOutput, targets: PanopticTargets, generator: torch.Generator | None = None
    ) -> CriterionResult:
        """As ``SetCriterion``'s, with the term "semantic" where the output has ``semantic_logits``."""
        result = super().forward(output, targets, generator)
        if output.semantic_logits is None or not self.config.semantic_weight:
            return result
        labels = targets.semantic()
        mean = cross_entropy_sum(output.semantic_logits, labels) / (labels >= 0).sum().clamp(min=1)
        return replace(result, losses=result.losses | {"semantic": self.config.semantic_weight * mean})
