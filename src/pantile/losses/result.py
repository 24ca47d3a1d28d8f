"""What every criterion returns."""

from dataclasses import dataclass, field

from torch import Tensor

from pantile.contracts.assignment import Assignment


@dataclass(frozen=True)
class CriterionResult:
    """Terms of a training step; nothing in it has been copied to the host.

    Attributes:
        losses: scalar float32 per named term, its weight applied, layer outputs summed; their sum is minimised.
        assignment: what each query of the output and of its layers was compared with; None where the model has no
            queries.
        counts: integer scalars for the log.
        fp_fn: float32 scalars without gradient for the log: false positive and false negative parts of the
            binary cross-entropy of the masks, per output.
    """

    losses: dict[str, Tensor]
    assignment: Assignment | None
    counts: dict[str, Tensor] = field(default_factory=dict)
    fp_fn: dict[str, Tensor] = field(default_factory=dict)
