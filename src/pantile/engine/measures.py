"""By what a run is measured: what its merge can be measured by, and which number chooses its best weights."""

import difflib

from pantile.contracts.errors import UserError
from pantile.contracts.predictions import Task
from pantile.engine.config import RunConfig
from pantile.merge.registry import MERGERS, Merger
from pantile.metrics.registry import METRICS, metric_that_logs


def measurable(config: RunConfig, tasks: frozenset[Task]) -> frozenset[Task]:
    """Those of ``tasks`` that the predictions of this run say something of."""
    return tasks & _merger(config).tasks


def per_class(config: RunConfig) -> bool:
    """Whether a segment of its predictions is all pixels of a class (``Prediction.per_class``)."""
    return "instance" not in _merger(config).tasks


def check_segments(config: RunConfig, source: str) -> None:
    """
    Args:
        source: the run, for the message.

    Raises:
        UserError: this run says nothing of pixels.
    """
    if not measurable(config, frozenset({"panoptic"})):
        raise UserError(
            f"{source}: merge.kind={config.merge.kind} says which classes an image shows and nothing of its pixels, so "
            "there are no segments to predict: measure it with `pantile eval`."
        )


def main_metric(config: RunConfig) -> str:
    """The name in ``METRICS`` of what the predictions of this run are ranked by."""
    return metric_that_logs(_merger(config).main_metric)


def best_metric(config: RunConfig) -> str:
    """The metric ``val/NAME`` by which the best weights are chosen; the larger, the better.

    Raises:
        UserError: no validation gives such a number.
    """
    chosen = config.training.best_metric
    if chosen == "auto":
        return _merger(config).main_metric
    known = ["auto", *(name for metric in METRICS.values() for name in metric.validated)]
    if chosen not in known:
        near = difflib.get_close_matches(chosen, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}."
        raise UserError(f"training.best_metric is {chosen!r}, which no validation measures; {hint}")
    return chosen


def validation_tasks(config: RunConfig) -> frozenset[Task]:
    """What a validation in training measures: panoptic quality, where the run has any, and what the best metric needs.

    Raises:
        UserError: this merge gives nothing for it.
    """
    metric = best_metric(config)
    wanted = frozenset({METRICS[metric_that_logs(metric)].task})
    if missing := wanted - measurable(config, wanted):
        raise UserError(
            f"training.best_metric is {metric!r}, but merge.kind={config.merge.kind} gives no {', '.join(missing)} "
            "predictions: choose another, or auto."
        )
    return wanted | measurable(config, frozenset({"panoptic"}))


def _merger(config: RunConfig) -> Merger:
    return MERGERS.find(config.merge.kind, "merge.kind")
