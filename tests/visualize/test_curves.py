"""Reading of the metrics CSV and the figures made of it."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.visualize import curves
from pantile.visualize.curves import curve_figures, ratio_histogram, read_metrics

FIGURES = {"pq", "losses", "learning_rate", "fp_fn_histogram", "fp_fn_over_steps"}
CSV = """step,epoch,train/class,train/fp_fn_layer0,train/fp_fn_final,lr,val/pq,val/pq_things,val/pq_stuff,time
0,0,3.5,800,90,0.0001,,,,a
10,0,2.5,400,,0.0002,,,,b
10,0,,,,,0.25,0.2,0.3,c
20,1,inf,-1,30,0.0001,,,,d
30,1,1.5
"""


@pytest.fixture
def metrics(tmp_path):
    (tmp_path / "metrics.csv").write_text(CSV)
    return read_metrics(tmp_path / "metrics.csv")


def test_reading_keeps_numeric_columns_and_marks_empty_cells(metrics):
    assert "time" not in metrics
    assert metrics["step"].tolist() == [0, 10, 10, 20, 30]
    assert np.array_equal(metrics["val/pq"], [np.nan, np.nan, 0.25, np.nan, np.nan], equal_nan=True)
    assert metrics["train/class"][-1] == 1.5
    assert np.isnan(metrics["lr"][-1])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epoch,lr\n1,2\n", "no column 'step'"),
        ("", "no column 'step'"),
        ("step,train/x\n1,2\n2,oops\n", r"line 3, column 'train/x' holds 'oops'"),
    ],
)
def test_reading_refuses_with_a_sentence(tmp_path, content, words):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(UserError, match=words):
        read_metrics(tmp_path / "m.csv")


def test_reading_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such metrics file"):
        read_metrics(tmp_path / "none.csv")


def test_every_figure_is_drawn_and_opens(metrics):
    figures = curve_figures(metrics)
    assert set(figures) == FIGURES
    for content in figures.values():
        assert ElementTree.fromstring(content).tag.endswith("svg")
    wide = Image.open(io.BytesIO(curve_figures({k: metrics[k] for k in ("step", "lr")}, "png")["learning_rate"]))
    assert wide.size[0] == 1800


def test_the_last_step_is_drawn_where_the_weights_are_said_to_be(monkeypatch):
    """The log counts steps from 0, checkpoints count those that were made: "weights of step 20 of 20"."""
    drawn = []
    monkeypatch.setattr(curves, "figure_file", lambda draw, series, form: drawn.append(series))
    curve_figures({"step": np.array([9.0, 19.0]), "val/pq": np.array([0.1, 0.2]), "lr": np.array([1.0, 0.5])})
    assert [steps.tolist() for series in drawn for steps, _ in series.values()] == [[10, 20], [10, 20]]


def test_svg_figures_are_the_same_every_time(metrics):
    rate = {name: metrics[name] for name in ("step", "lr")}
    assert curve_figures(rate) == curve_figures(rate)


@pytest.mark.parametrize(
    ("missing", "left_out"),
    [
        ("val/", {"pq"}),
        ("lr", {"learning_rate"}),
        ("train/class", {"losses"}),
        ("train/fp_fn_", {"fp_fn_histogram", "fp_fn_over_steps"}),
    ],
)
def test_missing_columns_leave_their_figure_out(metrics, missing, left_out):
    kept = {name: values for name, values in metrics.items() if not name.startswith(missing)}
    assert set(curve_figures(kept)) == FIGURES - left_out


def test_columns_without_a_finite_value_and_no_columns_at_all(metrics):
    assert curve_figures({"step": metrics["step"]}) == {}
    assert curve_figures({"step": metrics["step"], "val/pq": np.full(5, np.nan)}) == {}


def test_series_drop_what_is_not_finite_and_average_long_runs():
    steps = np.arange(1200.0)
    values = np.where(steps % 2, 1.0, 3.0)
    values[5] = np.inf
    series = curves._series({"step": steps, "x": values}, {"x": "x"})["x"]
    assert len(series[0]) == len(series[1]) == curves.MOST_POINTS
    assert series[1][50] == pytest.approx(2.0)
    geometric = curves._series({"step": steps, "x": values}, {"x": "x"}, "geometric mean")["x"]
    assert geometric[1][50] == pytest.approx(np.sqrt(3.0))
    every = curves._series({"step": np.arange(9000.0), "x": np.arange(9000.0)}, {"x": "x"}, "every")["x"]
    assert np.array_equal(every[0], every[1])
    assert (every[0][0], every[0][-1]) == (0, 8999)


def test_histogram_counts_shares_on_a_logarithmic_axis():
    logs = {"layer 0": np.array([2.0, 2.1, 3.0, 1.0]), "final": np.array([0.0])}
    (axes,) = curves._draw_histogram(logs).axes
    assert axes.get_xscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["layer 0", "final"]
    edges, heights = logs_of(axes)
    assert sum(heights) == pytest.approx(2 * 200)  # 100 % each, filled and outlined
    assert edges[0] <= 0.0
    assert edges[-1] >= 3.0


def logs_of(axes) -> tuple[np.ndarray, list[float]]:
    """log10 of the bin edges, and all heights of bars and outlines."""
    heights, edges = [], []
    for patch in axes.patches:
        if hasattr(patch, "get_height"):
            heights.append(patch.get_height())
            edges += [patch.get_x(), patch.get_x() + patch.get_width()]
        else:
            corners = patch.get_xy()
            heights += corners[1:-1:2, 1].tolist()
    return np.log10(sorted(edges)), heights


def test_histogram_leaves_out_ratios_without_a_logarithm():
    assert ratio_histogram({"final": np.array([0.0, -3.0, np.nan, np.inf])}) is None
    assert ratio_histogram({}) is None
    assert ratio_histogram({"final": np.array([5.0])}) is not None


def test_of_many_layers_the_first_and_the_final_are_drawn():
    columns = [f"train/fp_fn_{name}" for name in ("final", "layer0", "layer1", "layer10")]
    assert curves._first_and_final(columns) == {"layer 0": columns[1], "final": columns[0]}
    assert curves._first_and_final(columns[:1]) == {"final": columns[0]}
