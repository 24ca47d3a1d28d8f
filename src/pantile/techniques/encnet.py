"""EncNet (Zhang et al., CVPR 2018, arXiv:1803.08904): what is in an image gates the channels of its feature.

RankSeg compares itself with it on Segmenter (arXiv:2203.04187, appendix B): there, as here, the feature that a pixel
classifier decodes passes a 3x3 convolution and the encoding (``layers.encoding``), and the encoding also says which
classes the image shows:

    L = L_segmentation + weight * cross-entropy of presence

All classes compete: nothing is selected.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pantile.contracts.assignment import Assignment
from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.layers.conv import relu_conv
from pantile.layers.encoding import ContextEncoding
from pantile.losses.asymmetric import presence_cross_entropy
from pantile.techniques.base import TECHNIQUES, Technique


@TECHNIQUES.register("encnet")
@dataclass
class EncNetConfig:
    """
    Attributes:
        weight: of the loss of presence; 0 switches the technique off.
        codes: code words.
    """

    weight: float = 0.2
    codes: int = 64

    def make(self) -> "EncNet | None":
        return EncNet(self) if self.weight > 0 else None


class EncNet(Technique):
    """
    Args:
        config: see ``EncNetConfig``.
    """

    needs: ClassVar[tuple[str, ...]] = ("semantic_spec",)
    works_on: ClassVar[str] = "the feature of a pixel classifier"
    needed_at_inference = True

    def __init__(self, config: EncNetConfig) -> None:
        super().__init__()
        self.config = config
        self._said: Tensor | None = None

    def build(self, model: nn.Module, taxonomy: Taxonomy) -> None:
        channels = model.semantic_spec.feature_channels
        self.bottleneck = relu_conv(channels, channels, 3)
        self.encoding = ContextEncoding(channels, self.config.codes)
        self.classifier = nn.Linear(channels, taxonomy.num_classes)

    def attach(self, model: nn.Module) -> None:
        model.refine = self.refine

    def refine(self, feature: Tensor) -> Tensor:
        """See ``SemanticModel.refine``."""
        feature, encoding = self.encoding(self.bottleneck(feature))
        self._said = self.classifier(encoding) if self.training else None
        return feature

    def extra_losses(
        self, output: SemanticOutput, targets: PanopticTargets, assignment: Assignment
    ) -> dict[str, Tensor]:
        """The loss of presence, weight applied, of the batch that the model saw last."""
        said, self._said = self._said, None
        return {"presence": self.config.weight * presence_cross_entropy(said, targets.classes_present(said.shape[1]))}
