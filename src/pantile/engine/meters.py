"""The metrics of an evaluation: which tasks are measured, and what each prediction adds to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics import (
    AveragePrecisionResult,
    MaskAveragePrecision,
    PanopticQuality,
    PanopticQualityResult,
    SemanticQuality,
    SemanticQualityResult,
    ThingQuality,
    ThingQualityResult,
    WorstConfused,
    compare_maps,
    instances_of,
    map_of_instances,
    quality_of,
    semantic_of,
)
from pantile.metrics.instance_map import SCORE_THRESHOLD

ALL_TASKS: frozenset[Task] = frozenset({"panoptic", "instance", "semantic"})


@dataclass(frozen=True)
class Evaluation:
    """Numbers over a whole split and all processes, fractions of 1.

    Attributes:
        quality: panoptic quality.
        per_image: (dataset index, PQ of that image, NaN where it has no segment), sorted by index.
        precision: average precision of the thing masks; None where it was not asked for.
        semantic: intersection over union of classes; None where it was not asked for.
        things: pixels and confusion of the things of the panoptic map; None where it was not asked for.
        confused: (dataset index, second-largest share of a thing that a segment covers, 0..1) of the predicted things
            that are the most confused, worst first.
        instance_things: as ``things``, of the instances; None where it was not asked for.
        score_threshold: the least score of an instance that ``instance_things`` counts.
    """

    quality: PanopticQualityResult
    per_image: list[tuple[int, float]] = field(default_factory=list)
    precision: AveragePrecisionResult | None = None
    semantic: SemanticQualityResult | None = None
    things: ThingQualityResult | None = None
    confused: list[tuple[int, float]] = field(default_factory=list)
    instance_things: ThingQualityResult | None = None
    score_threshold: float = SCORE_THRESHOLD

    def to_dict(self) -> dict:
        """Plain containers for JSON: one group per task and, as in ``pantile score``, two about things; NaN as None.

        What is measured of instances beside their average precision stands in their group.
        """
        results = (self.quality, self.things, self.precision, self.semantic)
        content = {group: values for result in results if result for group, values in result.to_dict().items()}
        if self.instance_things:
            own = {"score_threshold": self.score_threshold} | self.instance_things.to_dict()
            content["instance"] = content.get("instance", {}) | own
        return content


class Meters(nn.Module):
    """Panoptic quality and what becomes of things always; more for the tasks "instance" and "semantic".

    Args:
        taxonomy: the classes.
        tasks: what predictions hold beside the panoptic map. "instance" adds average precision, and the pixels and
            confusion of instances; "semantic" the quality of classes.
        score_threshold: 0..1, the least score of the instances whose pixels are counted; average precision, which
            ranks them, needs none.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        tasks: frozenset[Task] = frozenset({"panoptic"}),
        score_threshold: float = SCORE_THRESHOLD,
    ) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        self.tasks = tasks
        self.score_threshold = score_threshold
        self.quality = PanopticQuality(taxonomy)
        self.things = ThingQuality(taxonomy)
        self.confused = WorstConfused(taxonomy)
        self.precision = MaskAveragePrecision(taxonomy) if "instance" in tasks else None
        self.instance_things = ThingQuality(taxonomy) if "instance" in tasks else None
        self.semantic = SemanticQuality(taxonomy) if "semantic" in tasks else None
        self.per_image: list[tuple[int, float]] = []  # (dataset index, PQ), this process

    def reset(self) -> None:
        for metric in self.children():
            metric.reset()
        self.per_image = []

    def update(self, predictions: Sequence[Prediction], truths: Sequence[PanopticMap], indices: Sequence[int]) -> None:
        """What a model does not say of instances or classes apart from its panoptic map is read off that map."""
        maps = [prediction.panoptic for prediction in predictions]
        comparisons = compare_maps(maps, truths)
        self.quality.update(maps, truths, comparisons)
        self.things.update(maps, truths, comparisons)
        self.confused.update(maps, truths, indices, comparisons)
        self.per_image += [(i, quality_of(c.counts)) for i, c in zip(indices, comparisons, strict=True)]
        if self.precision is not None:
            instances = [
                instances_of(p.panoptic, self.taxonomy) if p.instances is None else p.instances for p in predictions
            ]
            self.precision.update(instances, truths)
            flat = [map_of_instances(i, t.size, self.score_threshold) for i, t in zip(instances, truths, strict=True)]
            self.instance_things.update(flat, truths)
        if self.semantic is not None:
            classes = [
                semantic_of(p.panoptic, self.taxonomy) if p.semantic is None else p.semantic for p in predictions
            ]
            self.semantic.update(classes, truths)

    def compute(self) -> Evaluation:
        """Numbers of all processes; ``per_image`` of this one."""
        return Evaluation(
            quality=self.quality.compute(),
            per_image=self.per_image,
            precision=self.precision.compute() if self.precision is not None else None,
            semantic=self.semantic.compute() if self.semantic is not None else None,
            things=self.things.compute(),
            confused=self.confused.compute(),
            instance_things=self.instance_things.compute() if self.instance_things is not None else None,
            score_threshold=self.score_threshold,
        )
