"""Which merges have a form without torch, by the ``kind`` of their config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args, get_type_hints

import numpy as np

from pantile.contracts.predictions import Prediction, Task
from pantile.merge.registry import ALL_TASKS, ClassEvidence

#: the tensors of one image by name, as ``export.graph`` names them, without the batch
Maps = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ArrayMerge:
    """
    Attributes:
        config_class: the dataclass of its thresholds.
        predict: ``(maps, taxonomy, config, placement, tasks)`` to the prediction of one image.
        tasks: what its predictions can be measured by.
        evidence: ``(maps, placement, config, num_classes)`` to what tiles are stitched by.
    """

    config_class: type
    predict: Callable[..., Prediction]
    evidence: Callable[..., ClassEvidence]
    tasks: frozenset[Task] = ALL_TASKS


KINDS: dict[str, ArrayMerge] = {}


def register(
    config_class: type,
    predict: Callable[..., Prediction],
    evidence: Callable[..., ClassEvidence],
    tasks: frozenset[Task] = ALL_TASKS,
) -> None:
    """Enters a merge under every kind of its config."""
    for kind in get_args(get_type_hints(config_class)["kind"]):
        KINDS[kind] = ArrayMerge(config_class, predict, evidence, tasks)
