"""InstanceThings: what ``ThingQuality`` says of things, measured on the instances of a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Instance
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.instance_map import SCORE_THRESHOLD, map_of_instances
from pantile.metrics.printing import print_things
from pantile.metrics.registry import register_metric
from pantile.metrics.thing_quality import ThingQuality
from pantile.metrics.thing_result import ThingQualityResult


@dataclass  # torchmetrics refuses frozen ones
class InstanceThingsResult:
    """
    Attributes:
        things: pixels and confusion of the instances.
        score_threshold: the least score of an instance that is counted.
    """

    things: ThingQualityResult
    score_threshold: float

    def to_dict(self) -> dict:
        """``{"instance": {"score_threshold", "thing_pixels", "thing_confusion"}}``, see ``ThingQualityResult``."""
        return {"instance": {"score_threshold": self.score_threshold} | self.things.to_dict()}


def _show(result: InstanceThingsResult) -> None:
    print_things(f"instance, scores from {result.score_threshold:g}", result.things.to_dict())


@register_metric(
    "instance_things", task="instance", arguments=lambda batch: (batch.instances, batch.truths), show=_show
)
class InstanceThings(ThingQuality):
    """Pixels and confusion of instances; where they overlap, a pixel is of the highest score.

    Args:
        taxonomy: the classes.
        score_threshold: 0..1, the least score of an instance that is counted; average precision, which ranks them,
            needs none.
    """

    def __init__(self, taxonomy: Taxonomy, score_threshold: float = SCORE_THRESHOLD, **kwargs) -> None:
        super().__init__(taxonomy, **kwargs)
        self.score_threshold = score_threshold

    def update(self, instances: Sequence[Sequence[Instance]], truths: Sequence[PanopticMap]) -> None:
        """Adds images.

        Args:
            instances: of each image; they may overlap.
            truths: the ground truth of the same images.

        Raises:
            UserError: see ``map_of_instances`` and ``compare_maps``.
        """
        pairs = zip(instances, truths, strict=True)
        super().update([map_of_instances(own, truth.size, self.score_threshold) for own, truth in pairs], truths)

    def compute(self) -> InstanceThingsResult:
        """The result so far."""
        return InstanceThingsResult(super().compute(), self.score_threshold)
