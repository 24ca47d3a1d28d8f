"""The metrics of an evaluation: those of ``METRICS`` that belong to the tasks asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torchmetrics import Metric

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics import PanopticQualityResult, quality_of
from pantile.metrics.evaluated_batch import EvaluatedBatch
from pantile.metrics.registry import METRICS, TASKS, metrics_of

ALL_TASKS: frozenset[Task] = frozenset(TASKS)


@dataclass(frozen=True)
class Evaluation:
    """Numbers over a whole split and all processes, fractions of 1.

    Attributes:
        results: name in ``METRICS`` -> what that metric found, in the order in which they are shown; those of tasks
            that were not asked for are absent.
        per_image: (dataset index, PQ of that image, NaN where it has no segment), sorted by index.
    """

    results: Mapping[str, Any]
    per_image: list[tuple[int, float]] = field(default_factory=list)

    @property
    def quality(self) -> PanopticQualityResult:
        """Panoptic quality."""
        return self.results["panoptic_quality"]

    @property
    def confused(self) -> list[tuple[int, float]]:
        """(dataset index, second-largest share of a thing that a segment covers, 0..1) of the predicted things that
        are the most confused, worst first."""
        return self.results.get("worst_confused", [])

    def to_dict(self) -> dict:
        """Plain containers for JSON, a group for each task and, as in ``pantile score``, two about things; NaN as None.

        What is measured of instances beside their average precision stands in their group.
        """
        content: dict[str, dict] = {}
        for name, result in self.results.items():
            for group, values in METRICS[name].to_dict(result).items():
                content.setdefault(group, {}).update(values)
        return content


class Meters(nn.Module):
    """
    Args:
        taxonomy: the classes.
        tasks: what predictions hold; "panoptic" always.
        tells_things_apart: whether the model does; of one that does not, nothing is measured that is about things.

    Attributes:
        metrics: by their names in ``METRICS``.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        tasks: frozenset[Task] = frozenset({"panoptic"}),
        tells_things_apart: bool = True,
    ) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        self.tasks = tasks
        self._registered = metrics_of(tasks | {"panoptic"}, tells_things_apart)
        self.metrics = nn.ModuleDict({name: metric.create(taxonomy) for name, metric in self._registered.items()})
        self.per_image: list[tuple[int, float]] = []  # (dataset index, PQ), this process

    @property
    def quality(self) -> Metric:
        """The metric of panoptic quality."""
        return self.metrics["panoptic_quality"]

    @property
    def semantic(self) -> Metric | None:
        """The metric of classes, where it is asked for."""
        return dict(self.metrics.items()).get("semantic_quality")

    def reset(self) -> None:
        for metric in self.metrics.values():
            metric.reset()
        self.per_image = []

    def update(self, predictions: Sequence[Prediction], truths: Sequence[PanopticMap], indices: Sequence[int]) -> None:
        """Adds images; see ``EvaluatedBatch``."""
        batch = EvaluatedBatch(self.taxonomy, predictions, truths, indices)
        for name, metric in self.metrics.items():
            metric.update(*self._registered[name].arguments(batch))
        self.per_image += [(i, quality_of(c.counts)) for i, c in zip(indices, batch.comparisons, strict=True)]

    def compute(self) -> Evaluation:
        """Numbers of all processes; ``per_image`` of this one."""
        return Evaluation({name: metric.compute() for name, metric in self.metrics.items()}, self.per_image)
