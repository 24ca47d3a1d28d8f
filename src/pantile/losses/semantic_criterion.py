"""The criterion of pixel classifiers: cross-entropy of class logits at the labels' resolution.

    loss = cross-entropy + 0.4 * sum over auxiliary heads of their cross-entropy

What the sum over pixels is divided by differs: [S] the original Segmenter (Strudel et al., arXiv 2105.05633), [M] mmseg
and what is built on it, RankSeg (arXiv 2203.04187) among them. With k of K classes selected, a label is the channel of
its class, and a pixel whose class is not among the k has nothing to learn from.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from pantile.contracts.class_channels import channels_of
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.chunked_cross_entropy import cross_entropy_sum
from pantile.losses.criterion import CRITERIA, Criterion
from pantile.losses.nearest_cross_entropy import nearest_cross_entropy_sum
from pantile.losses.result import CriterionResult


@dataclass
class SemanticCriterionConfig:
    """Defaults are those of the original Segmenter.

    Attributes:
        kind: names this criterion among those of other families.
        semantic_weight: of the main head.
        auxiliary_weight: of each auxiliary head; 0 leaves them out.
        mean_over: which pixels of the batch (of this process) the loss is divided by: the "labelled" ones, also those
            whose class is not selected [S]; the "selected" ones, whose class competes; or "all", void and padding too
            [M]. Without a selection the first two are the same.
        align_corners: when logits are resized to the labels.
        crowd_in_semantic: crowd keeps its class; False makes it void.
        chunk_rows: rows of the labels whose logits exist at a time; None is all, as in the originals.
    """

    kind: Literal["semantic"] = "semantic"
    semantic_weight: float = 1.0
    auxiliary_weight: float = 0.4
    mean_over: Literal["labelled", "selected", "all"] = "labelled"
    align_corners: bool = False
    crowd_in_semantic: bool = True
    chunk_rows: int | None = 32


@CRITERIA.register("semantic")
class SemanticCriterion(Criterion):
    """See the module's docstring and ``SemanticCriterionConfig``.

    Args:
        config: see there.
        num_classes: K.

    Raises:
        UserError: a setting is out of range.
    """

    config_class = SemanticCriterionConfig

    def __init__(self, config: SemanticCriterionConfig, num_classes: int) -> None:
        super().__init__()
        for name in ("semantic_weight", "auxiliary_weight"):
            if not 0 <= getattr(config, name) < float("inf"):
                raise UserError(f"criterion.{name} is {getattr(config, name):g}; give a weight from 0 on.")
        if config.chunk_rows is not None and config.chunk_rows < 1:
            raise UserError(f"criterion.chunk_rows is {config.chunk_rows}; give at least 1, or null for all rows.")
        self.config = config
        self.num_classes = num_classes

    @classmethod
    def create(cls, config: SemanticCriterionConfig, taxonomy: Taxonomy) -> "SemanticCriterion":
        return cls(config, taxonomy.num_classes)

    def forward(self, output: SemanticOutput, targets: PanopticTargets) -> CriterionResult:
        """
        Args:
            output: of B images.
            targets: of the same images; their resolution is the one at which the loss is taken.

        Returns:
            ``losses``: "semantic" and, where the model has auxiliary heads with a weight, "auxiliary"; 0 without a
            pixel to learn from, and connected to the output all the same.
            ``assignment``: None.
            ``counts``: "labelled_pixels" of the batch and, where classes are selected, "unselected_pixels", those of
            them whose class is not.

        Raises:
            UserError: the model has another number of classes.
        """
        if output.num_classes != self.num_classes:
            raise UserError(
                f"The model predicts {output.num_classes} classes but the data has {self.num_classes}: build the model "
                "for the data's classes (weights of others are loaded with --init, by class name)."
            )
        config = self.config
        labels = targets.semantic(config.crowd_in_semantic)
        channels = channels_of(labels, output.classes, self.num_classes)
        labelled = (labels >= 0).sum()
        selected = labelled if output.classes is None else (channels >= 0).sum()
        over = {"labelled": labelled, "selected": selected, "all": labelled.new_tensor(labels.numel())}

        resizing = (config.align_corners, config.chunk_rows)

        def mean(total: Tensor) -> Tensor:
            return total / over[config.mean_over].clamp(min=1)

        def term(logits: Tensor, target: Tensor) -> Tensor:
            return mean(cross_entropy_sum(logits, target, *resizing))

        main = term(output.class_logits, channels)
        if (near := output.neighbours) is not None:
            among = nearest_cross_entropy_sum(output.class_logits, channels, near.count, *resizing, near.published)
            main = (1 - near.weight) * main + near.weight * mean(among)
        losses = {"semantic": config.semantic_weight * main}
        if config.auxiliary_weight and output.auxiliary:
            losses["auxiliary"] = config.auxiliary_weight * sum(term(logits, labels) for logits in output.auxiliary)
        counts = {"labelled_pixels": labelled}
        if output.classes is not None:
            counts["unselected_pixels"] = labelled - selected
        return CriterionResult(losses, assignment=None, counts=counts)
