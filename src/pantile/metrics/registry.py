"""METRICS: what ``pantile eval`` measures, prints and writes, and ``pantile report`` gets to show.

A metric registers itself where it is written: what it is given of a batch, and how its result is printed::

    @register_metric("my_quality", arguments=lambda batch: (batch.maps, batch.truths), show=print)
    class MyQuality(torchmetrics.Metric):
        def __init__(self, taxonomy: Taxonomy) -> None: ...
        def update(self, maps, truths) -> None: ...
        def compute(self) -> MyResult: ...  # has ``to_dict()``: {group: {key: number}} for JSON, NaN as None
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
    """

    create: "Callable[[Taxonomy], Metric]"
    task: Task
    arguments: "Callable[[EvaluatedBatch], tuple]"
    show: Callable[[Any], None]
    to_dict: Callable[[Any], dict[str, dict]]
    of_things: bool = False


METRICS: Registry[EvaluationMetric] = Registry("metric", "pantile.metrics")


def register_metric(
    name: str,
    *,
    task: Task = "panoptic",
    arguments: "Callable[[EvaluatedBatch], tuple]",
    show: Callable[[Any], None],
    to_dict: Callable[[Any], dict[str, dict]] = lambda result: result.to_dict(),
    of_things: bool = False,
) -> Callable[[Create], Create]:
    """A decorator of a ``torchmetrics.Metric``; see ``EvaluationMetric`` for the arguments."""
    home = calling_module()

    def add(create: Create) -> Create:
        METRICS.register(name, home)(EvaluationMetric(create, task, arguments, show, to_dict, of_things))
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
