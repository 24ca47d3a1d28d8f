"""ESSNet (Jain et al., ICCV 2021): a pixel learns, and is judged, among the few classes that are nearest to it.

RankSeg compares itself with it on Segmenter (arXiv:2203.04187, appendix B), whose pixels and classes are then compared
in 64 dimensions: ``model.embed_channels=64``. Unlike RankSeg the selection is each pixel's own, by the very logits that
it selects, so all K logits are computed.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import Neighbours, SemanticOutput
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.techniques.base import TECHNIQUES, Technique

ABSENT = -100.0  # logit of a class that takes no part


@TECHNIQUES.register("essnet")
@dataclass
class ESSNetConfig:
    """
    Attributes:
        weight: of the loss among neighbours, 0..1; the plain loss has the rest. 0 switches the technique off.
        neighbours: nearest classes of a pixel; all where there are fewer.
        published_duplicates: see ``losses.nearest_cross_entropy.among_neighbours``.
    """

    weight: float = 1.0
    neighbours: int = 100
    published_duplicates: bool = False

    def make(self) -> "ESSNet | None":
        return ESSNet(self) if self.weight > 0 else None


class ESSNet(Technique):
    """
    Args:
        config: see ``ESSNetConfig``.

    Raises:
        UserError: a setting is out of range.
    """

    needs: ClassVar[tuple[str, ...]] = ("semantic_spec",)
    works_on: ClassVar[str] = "class logits of pixels"

    def __init__(self, config: ESSNetConfig) -> None:
        super().__init__()
        if config.neighbours < 1:
            raise UserError(f"techniques.essnet.neighbours is {config.neighbours}: give at least 1.")
        if config.weight > 1:
            raise UserError(f"techniques.essnet.weight is {config.weight:g}: it is a share, so give 0 to 1.")
        self.config = config

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        """Nothing: there are no weights."""

    def rewrite(self, output: SemanticOutput) -> SemanticOutput:
        """At inference, all but a pixel's nearest classes get a logit of -100."""
        logits, count = output.class_logits, self.config.neighbours
        if self.training or count >= logits.shape[1]:
            return output
        nearest = logits.topk(count, dim=1)
        kept = logits.new_full(logits.shape, ABSENT).scatter(1, nearest.indices, nearest.values)
        return replace(output, class_logits=kept)

    def before_loss(self, output: SemanticOutput, raw: SemanticOutput, targets: PanopticTargets) -> SemanticOutput:
        config = self.config
        return replace(output, neighbours=Neighbours(config.neighbours, config.weight, config.published_duplicates))
