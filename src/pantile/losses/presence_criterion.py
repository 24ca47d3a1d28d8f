"""The criterion of image classifiers: which classes an image shows, several at a time (``losses.asymmetric``)."""

from dataclasses import dataclass
from typing import Literal

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.asymmetric import asymmetric_loss
from pantile.losses.criterion import CRITERIA, Criterion
from pantile.losses.result import CriterionResult


@dataclass
class PresenceCriterionConfig:
    """Defaults are Query2Label's asymmetric loss.

    Attributes:
        kind: names this criterion among those of other families.
        weight: of the loss, a mean over images and a sum over classes, as its authors have it.
        gamma_positive: focusing of present classes.
        gamma_negative: focusing of absent classes.
        margin: absent classes below this probability cost nothing.
    """

    kind: Literal["presence"] = "presence"
    weight: float = 1.0
    gamma_positive: float = 0.0
    gamma_negative: float = 2.0
    margin: float = 0.0


@CRITERIA.register("presence")
class PresenceCriterion(Criterion):
    """See the module's docstring and ``PresenceCriterionConfig``.

    Args:
        config: see there.
        num_classes: K.
    """

    config_class = PresenceCriterionConfig

    def __init__(self, config: PresenceCriterionConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes

    @classmethod
    def create(cls, config: PresenceCriterionConfig, taxonomy: Taxonomy) -> "PresenceCriterion":
        return cls(config, taxonomy.num_classes)

    def forward(self, output: ModelOutput, targets: PanopticTargets) -> CriterionResult:
        """
        Args:
            output: of B images, with ``presence_logits`` (B, K).
            targets: of the same images; a class is present that has a pixel in the crop.

        Returns:
            ``losses``: "presence".

        Raises:
            UserError: the model has another number of classes, or says nothing of presence.
        """
        logits = output.presence_logits
        if logits is None:
            raise UserError("criterion.kind=presence is for image classifiers: this model says nothing of presence.")
        if logits.shape[1] != self.num_classes:
            raise UserError(
                f"The model predicts {logits.shape[1]} classes but the data has {self.num_classes}: build the model "
                "for the data's classes (weights of others are loaded with --init, by class name)."
            )
        config, present = self.config, targets.classes_present(self.num_classes)
        mean = asymmetric_loss(logits, present, config.gamma_positive, config.gamma_negative, config.margin)
        counts = {"present_classes": present.sum()}
        return CriterionResult({"presence": config.weight * self.num_classes * mean}, None, counts)
