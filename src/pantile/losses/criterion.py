"""What every criterion is."""

from torch import nn

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.targets import PanopticTargets


class Criterion(nn.Module):
    """A module ``(output, PanopticTargets) -> CriterionResult`` for one kind of output."""

    def choose_queries(self, output: ModelOutput, targets: PanopticTargets) -> ModelOutput:
        """Before techniques see it: an output whose queries are chosen for the targets, where the model leaves that
        to training; any other as it is."""
        return output
