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
    image_quality,
    instances_of,
    semantic_of,
)

ALL_TASKS: frozenset[Task] = frozenset({"panoptic", "instance", "semantic"})


@dataclass(frozen=True)
class Evaluation:
    """Numbers over a whole split and all processes, fractions of 1.

    Attributes:
        quality: panoptic quality.
        per_image: (dataset index, PQ of that image, NaN where it has no segment), sorted by index.
        precision: average precision of the thing masks; None where it was not asked for.
        semantic: intersection over union of classes; None where it was not asked for.
    """

    quality: PanopticQualityResult
    per_image: list[tuple[int, float]] = field(default_factory=list)
    precision: AveragePrecisionResult | None = None
    semantic: SemanticQualityResult | None = None

    def to_dict(self) -> dict:
        """Plain containers for JSON: one group per task, NaN as None."""
        results = (self.quality, self.precision, self.semantic)
        return {group: values for result in results if result for group, values in result.to_dict().items()}


class Meters(nn.Module):
    """Panoptic quality always; average precision and semantic quality for the tasks "instance" and "semantic"."""

    def __init__(self, taxonomy: Taxonomy, tasks: frozenset[Task] = frozenset({"panoptic"})) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        self.tasks = tasks
        self.quality = PanopticQuality(taxonomy)
        self.precision = MaskAveragePrecision(taxonomy) if "instance" in tasks else None
        self.semantic = SemanticQuality(taxonomy) if "semantic" in tasks else None
        self.per_image: list[tuple[int, float]] = []  # (dataset index, PQ), this process

    def reset(self) -> None:
        for metric in self.children():
            metric.reset()
        self.per_image = []

    def update(self, predictions: Sequence[Prediction], truths: Sequence[PanopticMap], indices: Sequence[int]) -> None:
        """What a model does not say of instances or classes apart from its panoptic map is read off that map."""
        maps = [prediction.panoptic for prediction in predictions]
        self.quality.update(maps, truths)
        self.per_image += [(i, image_quality(m, t)) for i, m, t in zip(indices, maps, truths, strict=True)]
        if self.precision is not None:
            instances = [
                instances_of(p.panoptic, self.taxonomy) if p.instances is None else p.instances for p in predictions
            ]
            self.precision.update(instances, truths)
        if self.semantic is not None:
            classes = [
                semantic_of(p.panoptic, self.taxonomy) if p.semantic is None else p.semantic for p in predictions
            ]
            self.semantic.update(classes, truths)

    def compute(self) -> Evaluation:
        """Numbers of all processes; ``per_image`` of this one."""
        return Evaluation(
            self.quality.compute(),
            self.per_image,
            self.precision.compute() if self.precision is not None else None,
            self.semantic.compute() if self.semantic is not None else None,
        )
