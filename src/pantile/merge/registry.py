"""The two tables of merging, keyed by the ``kind`` of a merge config; a new merge enters itself in both."""

from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Protocol, TypeVar, get_args, get_type_hints

import numpy as np

from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.registry import Registry, calling_module
from pantile.merge.tile_layout import Window

Function = TypeVar("Function", bound=Callable)

ALL_TASKS: frozenset[Task] = frozenset({"panoptic", "instance", "semantic", "presence"})

#: window of the image -> (K, height, width) float32, 0..1
ClassEvidence = Callable[[Window], np.ndarray]


class MergeConfig(Protocol):
    """A dataclass with defaults; ``kind`` is a ``Literal`` of the registered names."""

    kind: str


@dataclass(frozen=True)
class Merger:
    """
    Attributes:
        config_class: the dataclass of its thresholds.
        predict: ``(output, taxonomy, config, placements, tasks)`` to a prediction per image; see ``merge``.
        tasks: what its predictions can be measured by. Without "instance", things are not told apart.
        main_metric: by which a training chooses its best weights, of those that ``training.best_metric`` knows.
        takes: the kind of output, or a union of kinds: the annotation of ``predict``'s ``output``.
    """

    config_class: type
    predict: Callable[..., list[Prediction]]
    tasks: frozenset[Task] = ALL_TASKS
    main_metric: str = "pq"
    takes: type | UnionType = object


MERGERS: Registry[Merger] = Registry("merge", "pantile.merge")
EVIDENCE: Registry[Callable[..., ClassEvidence]] = Registry("class evidence", "pantile.merge")


def register_merge(
    config_class: type, tasks: frozenset[Task] = ALL_TASKS, main_metric: str = "pq"
) -> Callable[[Function], Function]:
    """A decorator of ``predict`` for every kind of ``config_class``; see ``Merger``."""

    home = calling_module()

    def add(predict: Function) -> Function:
        for kind in _kinds(config_class):
            takes = get_type_hints(predict).get("output", object)
            MERGERS.register(kind, home)(Merger(config_class, predict, tasks, main_metric, takes))
        return predict

    return add


def register_evidence(config_class: type) -> Callable[[Function], Function]:
    """A decorator of ``(output, placement, config) -> ClassEvidence`` for every kind of ``config_class``."""

    home = calling_module()

    def add(make: Function) -> Function:
        for kind in _kinds(config_class):
            EVIDENCE.register(kind, home)(make)
        return make

    return add


def _kinds(config_class: type) -> tuple[str, ...]:
    return get_args(get_type_hints(config_class)["kind"])
