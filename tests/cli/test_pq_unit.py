"""One unit of PQ: percent with one decimal wherever a person reads it, a fraction of 1 in every file."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from matplotlib import pyplot
from rich.console import Console

from pantile.cli.bench import print_rows
from pantile.cli.eval import write_json
from pantile.cli.score_tables import print_score
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.percent import percent
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.callbacks import StepProgress
from pantile.engine.grid_search import TABLE, Row, _write
from pantile.engine.meters import Evaluation, Meters
from pantile.metrics import PanopticQuality
from pantile.metrics.printing import print_quality
from pantile.score.evidence import evidence_of
from pantile.score.result import Totals
from pantile.visualize import curves
from pantile.visualize.report import Example, ReportData, render_report

TAXONOMY = plain_taxonomy(["cat", "sky"], things=["cat"])
GT = PanopticMap(np.repeat([[1, 1, 1, 2, 2, 2]], 6, axis=0).astype(np.int32), (Segment(1, 0), Segment(2, 1)))
PRED = PanopticMap(np.repeat([[1, 1, 1, 1, 2, 2]], 6, axis=0).astype(np.int32), GT.segments)
PQ = (3 / 4 + 2 / 3) / 2  # 0.7083
SHOWN = "70.8"


@pytest.fixture(scope="module")
def quality():
    metric = PanopticQuality(TAXONOMY)
    metric.update(PRED, GT)
    return metric.compute()


@pytest.fixture(scope="module")
def score():
    totals = Totals(TAXONOMY)
    totals.add("a.png", evidence_of(PRED, GT, TAXONOMY))
    return totals.score(missing=0, unknown=0)


def test_percent():
    assert [percent(value) for value in (PQ, 0, 1, None, float("nan"))] == [SHOWN, "0.0", "100.0", "-", "-"]


def test_eval_and_score_and_bench_print_percent(quality, score, capsys):
    print_quality(quality)
    printed = [capsys.readouterr().out]
    console = Console(width=160)
    with console.capture() as capture:
        print_score(score, console)
    printed.append(capture.get())
    print_rows([Row("one", 1, 1, "ok", 1.0, 1.0, PQ)])
    printed.append(capsys.readouterr().out)
    for text in printed:
        assert SHOWN in text and "0.70" not in text and "0.71" not in text
    assert f"PQ {SHOWN}" in printed[1]


def test_the_report_shows_percent(quality):
    photo = np.zeros((4, 4, 3), np.uint8)
    results = Evaluation({"panoptic_quality": quality}).to_dict()
    page = render_report(ReportData(results=results, taxonomy=TAXONOMY, best=[Example("a.png", photo, quality=PQ)]))
    assert f"PQ {SHOWN}" in page and page.count(f">{SHOWN}<") >= 1


def test_curves_are_drawn_in_percent():
    figure = curves._draw_pq({"all": (np.array([1.0, 2.0]), np.array([0.0, PQ]))})
    (axes,) = figure.axes
    assert axes.get_ylabel() == "PQ (%)"
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(100 * PQ)
    pyplot.close(figure)


@pytest.mark.parametrize(("value", "shown"), [(PQ, f"{SHOWN} %"), (float("nan"), "- %")])
def test_the_progress_bar_shows_percent(monkeypatch, value, shown):
    monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda *_: {"v_num": 3, "loss": 1.5, "PQ": value})
    assert StepProgress(1).get_metrics(SimpleNamespace(), SimpleNamespace()) == {"loss": 1.5, "PQ": shown}


def test_files_hold_fractions(quality, score, tmp_path):
    for name, content in (("eval", Evaluation({"panoptic_quality": quality}).to_dict()), ("score", score.to_dict())):
        write_json(content, tmp_path / name)
        assert json.loads((tmp_path / name).read_text())["panoptic"]["all"]["pq"] == pytest.approx(PQ)
    assert score.to_dict()["worst_images"][0]["pq"] == pytest.approx(PQ)
    _write(tmp_path, [Row("one", 1, 1, "ok", 1.0, 1.0, PQ)])
    with (tmp_path / TABLE).open(newline="") as file:
        assert float(next(csv.DictReader(file))["pq"]) == pytest.approx(PQ)


def test_the_log_holds_fractions():
    from pantile.engine.task import PanopticTask

    logged = {}
    meters = Meters(TAXONOMY)
    meters.update([Prediction(PRED)], [GT], [0])
    task = SimpleNamespace(
        meters=meters,
        average=None,
        log_dict=lambda values, **_: logged.update(values),
        log=lambda name, value, **_: logged.update({name: value}),
    )
    PanopticTask.on_validation_epoch_end(task)
    assert torch.isclose(logged["val/pq"], torch.tensor(PQ))
    assert logged["PQ"] == logged["val/pq"]  # the bar turns it into percent
