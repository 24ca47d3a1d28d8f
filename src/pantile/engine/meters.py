"""The metrics of an evaluation: those of ``METRICS`` that belong to the tasks asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics import PanopticQualityResult
from pantile.metrics.evaluated_batch import EvaluatedBatch
from pantile.metrics.registry import METRICS, TASKS, metrics_of

ALL_TASKS: frozenset[Task] = frozenset(TASKS)


@dataclass(frozen=True)
class Evaluation:
    """Numbers over a whole split and all processes, fractions of 1.

    Attributes:
        results: name in ``METRICS`` -> what that metric found, in the order in which they are shown; those of tasks
            that were not asked for are absent.
        per_image: (dataset index, the main number of that image, such as its PQ; NaN where it has none), sorted by
            index.
        main: name in ``METRICS`` of what the run is measured by before all else.
    """

    results: Mapping[str, Any]
    per_image: list[tuple[int, float]] = field(default_factory=list)
    main: str = "panoptic_quality"

    @property
    def quality(self) -> PanopticQualityResult:
        """Panoptic quality."""
        return self.results["panoptic_quality"]

    @property
    def main_label(self) -> str:
        """How the main number is called, "PQ" for example."""
        return METRICS[self.main].label

    @property
    def main_value(self) -> float:
        """The main number over all images."""
        (value_of, *_) = METRICS[self.main].validated.values()
        return value_of(self.results[self.main])

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
        tasks: what predictions hold.
        tells_things_apart: whether the model does; of one that does not, nothing is measured that is about things.
        main: name in ``METRICS`` of what comes first and ranks images; where no task has it, the first that can.

    Attributes:
        metrics: by their names in ``METRICS``.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        tasks: frozenset[Task] = frozenset({"panoptic"}),
        tells_things_apart: bool = True,
        main: str = "panoptic_quality",
    ) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        self.tasks = tasks
        measured = metrics_of(tasks, tells_things_apart)
        able = [name for name, metric in measured.items() if metric.of_images]
        self.main = main if main in able else able[0]
        self._registered = {self.main: measured[self.main], **measured}
        self.metrics = nn.ModuleDict({name: metric.create(taxonomy) for name, metric in self._registered.items()})
        self.per_image: list[tuple[int, float]] = []  # (dataset index, main number), this process

    def validated(self) -> tuple[dict[str, float], dict[str, float]]:
        """What a validation logs: every number by its name in the log, and the first of each metric by its label."""
        logged, headline = {}, {}
        for name, registered in self._registered.items():
            if registered.validated:
                result = self.metrics[name].compute()
                values = {f"val/{key}": value_of(result) for key, value_of in registered.validated.items()}
                logged |= values
                headline[registered.label] = next(iter(values.values()))
        return logged, headline

    def reset(self) -> None:
        for metric in self.metrics.values():
            metric.reset()
        self.per_image = []

    def update(self, predictions: Sequence[Prediction], truths: Sequence[PanopticMap], indices: Sequence[int]) -> None:
        """Adds images; see ``EvaluatedBatch``."""
        batch = EvaluatedBatch(self.taxonomy, predictions, truths, indices)
        for name, metric in self.metrics.items():
            metric.update(*self._registered[name].arguments(batch))
        self.per_image += zip(indices, self._registered[self.main].of_images(batch), strict=True)

    def compute(self) -> Evaluation:
        """Numbers of all processes; ``per_image`` of this one."""
        results = {name: metric.compute() for name, metric in self.metrics.items()}
        return Evaluation(results, self.per_image, self.main)
