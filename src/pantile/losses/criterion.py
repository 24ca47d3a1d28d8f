"""What every criterion is, and the registry in which each enters itself under the ``kind`` of its config."""

from typing import ClassVar, Protocol

from torch import nn

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.registry import Registry
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy

CRITERIA: Registry[type["Criterion"]] = Registry("criterion", "pantile.losses")


class CriterionConfig(Protocol):
    """A dataclass with defaults; ``kind`` is a ``Literal`` of the registered name."""

    kind: str


class Criterion(nn.Module):
    """A module ``(output, PanopticTargets) -> CriterionResult`` for one kind of output.

    Attributes:
        config_class: the dataclass of its settings.
    """

    config_class: ClassVar[type]

    @classmethod
    def create(cls, config: CriterionConfig, taxonomy: Taxonomy) -> "Criterion":
        """Made from its config alone, unless a criterion has to know more of the classes."""
        return cls(config)

    def choose_queries(self, output: ModelOutput, targets: PanopticTargets) -> ModelOutput:
        """Before techniques see it: an output whose queries are chosen for the targets, where the model leaves that
        to training; any other as it is."""
        return output
