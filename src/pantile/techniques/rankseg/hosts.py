"""How RankSeg sits on a kind of model: one host per type of spec, in files of their own."""

from functools import singledispatch
from typing import TYPE_CHECKING

from torch import nn

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.targets import PanopticTargets
from pantile.techniques.rankseg.ranking import Ranking

if TYPE_CHECKING:
    from pantile.techniques.rankseg.config import RankSegConfig


class Host(nn.Module):
    """
    Attributes:
        ranking: head, selection and temperatures.
        needed_at_inference: whether inference runs any of its weights.
    """

    needed_at_inference = True

    def __init__(self, config: "RankSegConfig", num_classes: int):
        super().__init__()
        self.ranking = Ranking(config, num_classes)

    def attach(self, model: nn.Module) -> None:
        """See ``Technique.attach``."""

    def rewrite(self, output: ModelOutput) -> ModelOutput:
        """See ``Technique.rewrite``."""
        return output

    def change_targets(self, output: ModelOutput, targets: PanopticTargets) -> PanopticTargets:
        """See ``Technique.change_targets``."""
        return targets


@singledispatch
def create_host(spec: object, config: "RankSegConfig", model: nn.Module) -> Host:
    """
    Args:
        spec: what the model says of itself; its type decides.
        config: see ``RankSegConfig``.
        model: that the technique is built for.
    """
    raise UserError(
        f"techniques.rankseg does not know models that describe themselves by a {type(spec).__name__}: switch it off "
        "with --set techniques.rankseg=null."
    )
