"""Settings of RankSeg: every row of the paper's Tables 1, 3 to 6, 10, 13 and 14 and of its oracle figure."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pantile.contracts.errors import UserError
from pantile.techniques.base import TECHNIQUES, Trained

if TYPE_CHECKING:
    from pantile.techniques.rankseg.technique import RankSeg


@TECHNIQUES.register("rankseg")
@dataclass
class RankSegConfig:
    """
    Attributes:
        weight: of the multi-label loss (Table 5); 0 switches the technique off.
        selection: whose classes compete in an image: "predicted", the k most probable ones; "ground_truth", those that
            are there; "ground_truth_in_evaluation", the same of a model that was trained with all classes (Figure 3);
            "none", all of them in the taxonomy's order, which leaves the auxiliary loss (row "+ MT" of Table 1).
        ranking_from: a run folder, or a file of weights, of Query2Label for the same classes, whose ranking decides in
            place of a head's (the independent scheme, Table 11). Its weights become the run's and stay as they are.
        ranker: the fields of its network; written by the training, which reads them from ``ranking_from``.
        selected: k (Table 4); None is all K classes, sorted (Table 10).
        selected_at_test: k in evaluation; None is ``selected``.
        threshold_at_test: in evaluation only classes of at least this probability, at most k and at least one of them
            (Table 13); 0 is always k.
        temperature: of a selected class: "rank", one for each rank; "shared", one for all (row "+ MT + LS" of Table
            1); "host", what the model does by itself.
        head: "encoder", one transformer layer over classes and pixels; "decoder", two that look from classes at pixels;
            "pooling", a perceptron on the mean pixel (Table 6).
        refine_classes: where class embeddings pass transformer layers in the model (Segmenter), those that the encoder
            head has refined take their place. Other models compare pixels with the original ones.
        share_embeddings: the head's class tokens are the model's class embeddings, where it has any (False for BEiT).
        reads: "queries", the object queries of a model that gives them early (Mask2Former); "pixels".
        pooled_stride: pixels of the input per token of the head; 0 leaves the map as it is (published settings for 847
            and 1284 classes).
        pooled_grid: tokens along each axis whatever the image's size (published settings: 8 in Segmenter, 16 in
            DeepLabv3); 0 goes by ``pooled_stride``.
        projection: of pixels to tokens: "separable" convolutions or "linear". Queries take the linear one.
        channels: of tokens; None is the width of the model's class embeddings where they are shared, else 512.
        num_heads: of attention; None is channels / 64, and 8 in the decoder head.
        ffn_channels: inner width of feed-forward parts; None is 4 channels, and 2048 in the decoder head.
        dropout: in the head, 0..1.
        loss: "asymmetric", or "cross_entropy" (published settings of Segmenter ViT-B on COCO-Stuff).
        gamma_positive: focusing of present classes.
        gamma_negative: focusing of absent classes; its author's default is 4.
        margin: absent classes below this probability cost nothing.
        learning_rate_factor: of the head's transformer layers and its classifier (0.1 in Appendix H).
        decay_factor: of their weight decay (100 in the published settings of Segmenter).
        unbiased_variance: with ground truth, standardise as the published code does there.
    """

    weight: float = 10.0
    selection: Literal["predicted", "ground_truth", "ground_truth_in_evaluation", "none"] = "predicted"
    ranking_from: str | None = None
    ranker: dict[str, Any] | None = None
    selected: int | None = None
    selected_at_test: int | None = None
    threshold_at_test: float = 0.0
    temperature: Literal["rank", "shared", "host"] = "rank"
    head: Literal["encoder", "decoder", "pooling"] = "encoder"
    refine_classes: bool = True
    share_embeddings: bool = True
    reads: Literal["queries", "pixels"] = "queries"
    pooled_stride: int = 32
    pooled_grid: int = 0
    projection: Literal["separable", "linear"] = "separable"
    channels: int | None = None
    num_heads: int | None = None
    ffn_channels: int | None = None
    dropout: float = 0.1
    loss: Literal["asymmetric", "cross_entropy"] = "asymmetric"
    gamma_positive: float = 0.0
    gamma_negative: float = 2.0
    margin: float = 0.05
    learning_rate_factor: float = 1.0
    decay_factor: float = 1.0
    unbiased_variance: bool = False

    def make(self) -> "RankSeg | None":
        from pantile.techniques.rankseg.technique import RankSeg

        return RankSeg(self) if self.weight > 0 else None

    def settled(self, read: Callable[[str], Trained]) -> "RankSegConfig":
        """See ``TechniqueConfig``.

        Raises:
            UserError: ``ranking_from`` is not a run of an image classifier.
        """
        if self.ranking_from is None:
            return replace(self, ranker=None)
        config = read(self.ranking_from).config
        if config.criterion.kind != "presence":
            raise UserError(
                f"techniques.rankseg.ranking_from={self.ranking_from} is a run of {config.model.architecture}, which "
                "does not rank classes: give one of query2label."
            )
        return replace(self, ranker=asdict(config.model) | {"pretrained": False, "backbone_weights": None})

    @property
    def has_head(self) -> bool:
        """Ground truth needs no prediction."""
        return self.selection in ("predicted", "none")


def check_counts(config: RankSegConfig, num_classes: int) -> None:
    """
    Raises:
        UserError: more classes are to be selected than there are, or none.
    """
    for field in ("selected", "selected_at_test"):
        count = getattr(config, field)
        if count is not None and not 1 <= count <= num_classes:
            raise UserError(
                f"techniques.rankseg.{field} is {count}, but there are {num_classes} classes: give 1 to {num_classes}, "
                "or null for all of them."
            )
    if not 0 <= config.threshold_at_test < 1:
        raise UserError(
            f"techniques.rankseg.threshold_at_test is {config.threshold_at_test:g}: it is a probability, so give 0 "
            "(off) or a number below 1."
        )
