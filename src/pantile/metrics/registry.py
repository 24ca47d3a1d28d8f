"""METRICS: what ``pantile eval`` measures, prints and writes, and ``pantile report`` gets to show.

A metric registers itself where it is written: what it is given of a batch, and how its result is printed::

    @register_metric("my_quality", arguments=lambda batch: (batch.maps, batch.truths), show=print)
    class MyQuality(torchmetrics.Metric):
        def __init__(self, taxonomy: Taxonomy) -> None: ...
        def update(self, maps, truths) -> None: ...
        def compute(self) -> MyResult: ...  # has ``to_dict()``: {group: {key: number}} for JSON, NaN as None
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pantile.contracts.predictions import Task
from pantile.contracts.registry import Registry, calling_module
from pantile.contracts.taxonomy import Taxonomy

if TYPE_CHECKING:
    from torchmetrics import Metric

    from pantile.metrics.evaluated_batch import EvaluatedBatch

Create = TypeVar("Create", bound="Callable[[Taxonomy], Metric]")

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class EvaluationMetric:
    """
    Attributes:
        create: taxonomy to a ``torchmetrics.Metric``, which adds up over processes.
        task: which predictions are asked for; it is measured only where this task is.
        arguments: what ``update`` is given of a batch.
        show: prints a result.
        of_things: it says something of a model that tells things of a class apart, and of no other.
        to_dict: a result to ``{group: {key: ...}}`` in plain containers for JSON; groups of one name are joined.
        validated: {name: a result to a fraction of 1}: what a validation logs as ``val/NAME`` and the best weights may
            be chosen by; the first is the one that stands for all.
        label: how that first one is called.
        of_images: one fraction of 1 per image of a batch, NaN for none, by which images are ranked.
        show_classes: prints what a result says of single classes, where ``show`` does not and it is a run's main one.
    """

    create: "Callable[[Taxonomy], Metric]"
    task: Task
    arguments: "Callable[[EvaluatedBatch], tuple]"
    show: Callable[[Any], None]
    to_dict: Callable[[Any], dict[str, dict]]
    of_things: bool = False
    validated: Mapping[str, Callable[[Any], float]] = field(default_factory=dict)
    label: str = ""
    of_images: "Callable[[EvaluatedBatch], Sequence[float]] | None" = None
    show_classes: Callable[[Any], None] | None = None


METRICS: Registry[EvaluationMetric] = Registry("metric", "pantile.metrics")


def register_metric(
    name: str,
    *,
    task: Task = "panoptic",
    arguments: "Callable[[EvaluatedBatch], tuple]",
    show: Callable[[Any], None],
    to_dict: Callable[[Any], dict[str, dict]] = lambda result: result.to_dict(),
    of_things: bool = False,
    validated: Mapping[str, Callable[[Any], float]] | None = None,
    label: str = "",
    of_images: "Callable[[EvaluatedBatch], Sequence[float]] | None" = None,
    show_classes: Callable[[Any], None] | None = None,
) -> Callable[[Create], Create]:
    """A decorator of a ``torchmetrics.Metric``; see ``EvaluationMetric`` for the arguments."""
    home = calling_module()

    def add(create: Create) -> Create:
        further = (validated or {}, label, of_images, show_classes)
        METRICS.register(name, home)(EvaluationMetric(create, task, arguments, show, to_dict, of_things, *further))
        return create

    return add


def metrics_of(tasks: Iterable[Task], tells_things_apart: bool = True) -> dict[str, EvaluationMetric]:
    """Those of the tasks, in the order in which they are shown: by task, Pantile's own first, by name."""
    foreign = METRICS.foreign()
    measured = [
        (name, metric)
        for name, metric in METRICS.items()
        if metric.task in tasks and (tells_things_apart or not metric.of_things)
    ]
    return dict(sorted(measured, key=lambda item: (TASKS.index(item[1].task), item[0] in foreign, item[0])))


def metric_that_logs(name: str) -> str:
    """The name in ``METRICS`` of what a validation logs as ``val/NAME``."""
    return next(own for own, metric in METRICS.items() if name in metric.validated)
