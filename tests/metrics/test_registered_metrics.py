"""Metrics by name: what of a batch each is given, which tasks each belongs to, and how results join in JSON."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torchmetrics import Metric

from pantile.cli.eval import print_results
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.meters import ALL_TASKS, Meters
from pantile.metrics import registry
from pantile.metrics.registry import METRICS, EvaluationMetric, metrics_of

TAXONOMY = plain_taxonomy(["car", "road"], things=["car"])
TRUTH = PanopticMap(np.array([[1, 2]], np.int32), (Segment(1, 0), Segment(2, 1)))


@dataclass
class Sum:
    total: int

    def to_dict(self) -> dict:
        return {"semantic": {"index_sum": self.total}, "sums": {"of": "indices"}}


class IndexSum(Metric):
    def __init__(self, taxonomy) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, indices, class_maps) -> None:
        self.total += sum(indices)
        assert [own.tolist() for own in class_maps] == [[[0, 1]]] * len(indices)

    def compute(self) -> Sum:
        return Sum(int(self.total))


@pytest.fixture
def registered(monkeypatch) -> None:
    """One more metric, of the task "semantic"."""
    part = EvaluationMetric(
        IndexSum,
        "semantic",
        lambda batch: (batch.indices, batch.class_maps),
        lambda result: print(f"indices: {result.total}"),
        lambda result: result.to_dict(),
    )
    monkeypatch.setattr(METRICS, "_parts", {"index_sum": part, **METRICS})
    monkeypatch.setattr(METRICS, "_homes", {"index_sum": "somebody", **METRICS._homes})


def measured(tasks: frozenset):
    meters = Meters(TAXONOMY, tasks)
    meters.update([Prediction(TRUTH)] * 2, [TRUTH] * 2, [3, 4])
    return meters.compute()


def test_a_registered_metric_is_measured_written_and_printed(registered, capsys):
    evaluation = measured(ALL_TASKS)
    content = evaluation.to_dict()
    assert content["sums"] == {"of": "indices"}
    assert content["semantic"]["index_sum"] == 7 and content["semantic"]["miou"] == 1  # groups of one name are joined
    print_results(evaluation)
    assert capsys.readouterr().out.splitlines()[-1] == "indices: 7"


def test_metrics_of_other_tasks_are_not_measured(registered):
    panoptic = {"panoptic_quality", "panoptic_errors", "things", "worst_confused"}
    assert set(measured(frozenset({"panoptic"})).results) == panoptic
    assert "sums" not in measured(frozenset({"panoptic", "instance"})).to_dict()


def test_they_stand_in_the_order_of_tasks_the_package_s_own_first(registered):
    assert [*metrics_of(ALL_TASKS)] == [
        *("panoptic_errors", "panoptic_quality", "things", "worst_confused"),
        *("average_precision", "instance_things"),
        *("semantic_quality", "index_sum"),
        "presence_quality",
    ]
    assert registry.TASKS == ("panoptic", "instance", "semantic", "presence")
