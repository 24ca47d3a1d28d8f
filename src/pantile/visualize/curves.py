"""Curves of a run from its metrics CSV: loss terms, PQ, learning rate, and how unbalanced the mask loss is."""

import csv
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from pantile.contracts.errors import UserError
from pantile.visualize.figures import COLORS, Series, cycled_colors, draw_lines, figure_file, name_lines, new_axes

RATIO_PREFIX = "train/fp_fn_"
MOST_POINTS = 120  # more rows than this are averaged in groups before they are drawn


def read_metrics(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the numeric columns of a metrics CSV: ``step``, ``epoch``, ``lr``, ``train/``, ``val/`` and ``count/``.

    Training and validation write different rows, so cells may be empty.

    Returns:
        column name -> (rows,) float64, NaN where the cell is empty. Other columns are left out.

    Raises:
        UserError: the file is missing, has no column ``step``, or has a cell that is no number.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such metrics file; give the CSV that training wrote into the run folder.")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        header = reader.fieldnames or []
    if "step" not in header:
        raise UserError(f"{path}: there is no column 'step'; give the metrics CSV that training wrote.")
    wanted = [
        name for name in header if name in ("step", "epoch") or _is_rate(name) or name.startswith((*_CURVES, "count/"))
    ]
    return {
        name: np.array([_number(row[name], path, line, name) for line, row in enumerate(rows, start=2)])
        for name in wanted
    }


def curve_figures(
    metrics: Mapping[str, np.ndarray], form: Literal["svg", "png"] = "svg", names: Collection[str] | None = None
) -> dict[str, bytes]:
    """Every figure for which ``metrics`` has the columns.

    Steps are drawn as the number of steps that were made, as checkpoints count them: one more than the CSV's ``step``.

    Args:
        metrics: what ``read_metrics`` gives.
        form: PNG figures have 200 dots per inch: twice the 900 pixels at which they are meant to be read.
        names: of the figures to draw; None for all.

    Returns:
        "miou", "pq", "losses", "learning_rate", "fp_fn_histogram" and "fp_fn_over_steps" -> file content.
    """
    metrics = {**metrics, "step": metrics["step"] + 1}
    terms = {
        name.removeprefix("train/"): name
        for name in metrics
        if name.startswith("train/") and not name.startswith(RATIO_PREFIX)
    }
    pq = {label: name for label, name in _PQ_COLUMNS.items() if name in metrics}
    miou = {label: name for label, name in _MIOU_COLUMNS.items() if name in metrics}
    rates = {name: name for name in metrics if _is_rate(name)}
    ratios = _first_and_final([name for name in metrics if name.startswith(RATIO_PREFIX)])
    ratio_values = {label: metrics[name] for label, name in ratios.items()}
    draw = {
        "miou": lambda: figure_file(_draw_miou, _series(metrics, miou), form),
        "pq": lambda: figure_file(_draw_pq, _series(metrics, pq), form),
        "losses": lambda: figure_file(_draw_losses, _series(metrics, terms), form),
        "learning_rate": lambda: figure_file(_draw_rate, _series(metrics, rates, "every"), form),
        "fp_fn_histogram": lambda: ratio_histogram(ratio_values, form),
        "fp_fn_over_steps": lambda: figure_file(_draw_ratios, _series(metrics, ratios, "geometric mean"), form),
    }
    drawn = {name: draw[name]() for name in draw if names is None or name in names}
    return {name: content for name, content in drawn.items() if content is not None}


def columns_over_steps(metrics: Mapping[str, np.ndarray], columns: Mapping[str, str]) -> Series:
    """What is known of some columns, at the number of steps that were made; long ones are averaged in groups.

    Args:
        metrics: what ``read_metrics`` gives.
        columns: label -> column; one without a finite value is left out.
    """
    return _series({**metrics, "step": metrics["step"] + 1}, columns)


def ratio_histogram(ratios: Mapping[str, np.ndarray], form: Literal["svg", "png"] = "svg") -> bytes | None:
    """How often the false-positive mask loss is how many times the false-negative one (ReMaX, Figures 1 and 7).

    Args:
        ratios: name of a layer output, or of a run, -> any number of ratios. Ratios that are not positive and
            finite have no logarithm and are left out.
        form: file format.

    Returns:
        File content, or None if no ratio is left.
    """
    logs = {}
    for label, values in ratios.items():
        values = np.asarray(values, dtype=np.float64)
        values = values[np.isfinite(values) & (values > 0)]
        if len(values):
            logs[label] = np.log10(values)
    return figure_file(_draw_histogram, logs, form)


def confusion_figure(
    curves: Mapping[str, Mapping[str, float | None]], form: Literal["svg", "png"] = "svg"
) -> bytes | None:
    """Confusion of things: IBS, Figure 5 (de Geus and Dubbelman, WACV 2023); lower is better.

    Args:
        curves: name of a run, or of what was predicted -> ``thing_confusion.share_at_percent`` of an evaluation or a
            score: threshold T in percent -> share of the predicted things, 0..1, that cover more than that of at least
            two true things. Shares that are None are left out.
        form: file format.

    Returns:
        File content, or None if no share is left.
    """
    series = {}
    for label, shares in curves.items():
        known = sorted((float(t), 100 * share) for t, share in shares.items() if share is not None)
        if known:
            series[label] = tuple(np.array(known).T)
    return figure_file(_draw_confusion, series, form)


_CURVES = ("train/", "val/")
_PQ_COLUMNS = {
    "all": "val/pq",
    "things": "val/pq_things",
    "stuff": "val/pq_stuff",
    "all, average of the weights": "val/ema_pq",
}
_MIOU_COLUMNS = {"mIoU": "val/miou", "average of the weights": "val/ema_miou"}


def _is_rate(name: str) -> bool:
    return name == "lr" or name.startswith(("lr-", "lr/"))


def _first_and_final(columns: list[str]) -> dict[str, str]:
    """Label -> column; with many decoder layers only the first and the last, as curves between them only hide them."""
    columns = sorted(columns, key=lambda name: (name.endswith("final"), name))
    kept = columns if len(columns) < 3 else [columns[0], columns[-1]]
    return {re.sub(r"_|(?<=layer)(?=\d)", " ", name.removeprefix(RATIO_PREFIX)): name for name in kept}


def _number(cell: str | None, path: Path, line: int, name: str) -> float:
    try:
        return float(cell) if cell else math.nan  # None: a row that is still being written
    except ValueError:
        raise UserError(f"{path}: line {line}, column '{name}' holds {cell!r}; it must be a number.") from None


def _series(
    metrics: Mapping[str, np.ndarray],
    columns: Mapping[str, str],
    kind: Literal["mean", "geometric mean", "every"] = "mean",
) -> Series:
    """Finite points only; long series are averaged in groups, or thinned where each value is exact.

    Args:
        metrics: the columns, ``step`` among them.
        columns: label -> column.
        kind: what stands for a group of rows. The geometric mean leaves out values that are not positive.
    """
    series = {}
    for label, name in columns.items():
        steps, values = metrics["step"], metrics[name]
        usable = np.isfinite(steps) & np.isfinite(values)
        if kind == "geometric mean":
            usable &= values > 0
        steps, values = steps[usable], values[usable]
        if not len(steps):
            continue
        if kind == "every" and len(steps) > 10 * MOST_POINTS:
            kept = np.linspace(0, len(steps) - 1, 10 * MOST_POINTS).round().astype(int)
            steps, values = steps[kept], values[kept]
        elif kind != "every" and len(steps) > MOST_POINTS:
            logs = kind == "geometric mean"
            means = _group_means(np.log(values) if logs else values)
            steps, values = _group_means(steps), np.exp(means) if logs else means
        series[label] = (steps, values)
    return series


def _group_means(values: np.ndarray) -> np.ndarray:
    return np.array([group.mean() for group in np.array_split(values, MOST_POINTS)])


def _draw_miou(series: Series) -> Figure:
    figure, (axes,) = new_axes(3.2)
    draw_lines(axes, {label: (steps, 100 * values) for label, (steps, values) in series.items()}, marked=True)
    axes.set(title="Mean intersection over union on the validation images", xlabel="step", ylabel="mIoU (%)")
    axes.set_ylim(bottom=0)
    return figure


def _draw_pq(series: Series) -> Figure:
    figure, (axes,) = new_axes(3.2)
    draw_lines(axes, {label: (steps, 100 * values) for label, (steps, values) in series.items()}, marked=True)
    axes.set(title="Panoptic quality on the validation images", xlabel="step", ylabel="PQ (%)")
    axes.set_ylim(bottom=0)
    return figure


def _draw_confusion(series: Series) -> Figure:
    figure, (axes,) = new_axes(3.2)
    draw_lines(axes, series, marked=True)
    axes.set(
        title="Predicted things that cover more than T % of each of at least two true things",
        xlabel="T (% of a true thing)",
        ylabel="confused (% of predicted things)",
        xticks=sorted({t for thresholds, _ in series.values() for t in thresholds}),
    )
    axes.set_ylim(bottom=0)
    return figure


def _draw_losses(series: Series) -> Figure:
    """One small panel per term, each with its own scale: terms differ by orders of magnitude."""
    columns = 3
    rows = math.ceil(len(series) / columns)
    figure, panels = new_axes(0.3 + 1.75 * rows, rows, columns)
    for axes, (label, (steps, values)) in zip(panels, series.items(), strict=False):
        axes.plot(steps, values, color=COLORS[0], linewidth=1.4, marker="." if len(steps) == 1 else None)
        axes.set_title(label if len(label) <= 34 else label[:33] + "…")
        axes.locator_params(nbins=4)
    for axes in panels[len(series) :]:
        axes.set_visible(False)
    figure.supxlabel("step", fontsize=9)
    return figure


def _draw_rate(series: Series) -> Figure:
    figure, (axes,) = new_axes(2.2)
    draw_lines(axes, series)
    axes.set(title="Learning rate", xlabel="step")
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    return figure


def _draw_ratios(series: Series) -> Figure:
    figure, (axes,) = new_axes(2.8)
    draw_lines(axes, series)
    axes.axhline(1, color="#5b626a", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set(title="False-positive over false-negative mask loss", xlabel="step", ylabel="ratio, log scale")
    axes.set_yscale("log")
    return figure


def _draw_histogram(logs: Mapping[str, np.ndarray]) -> Figure:
    figure, (axes,) = new_axes(3.2)
    every = np.concatenate(list(logs.values()))
    low, high = np.floor(2 * every.min()) / 2, np.ceil(2 * every.max()) / 2
    edges = 10 ** np.linspace(low, max(high, low + 0.5), 41)
    for color, (label, values) in zip(cycled_colors(), logs.items(), strict=False):
        share = np.full(len(values), 100 / len(values))
        axes.hist(10**values, edges, weights=share, color=color, alpha=0.16)
        axes.hist(10**values, edges, weights=share, color=color, histtype="step", linewidth=1.5, label=label)
    axes.set_xscale("log")
    axes.axvline(1, color="#5b626a", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set(
        title="False-positive over false-negative mask loss",
        xlabel="ratio, log scale (dashed: balanced)",
        ylabel="share of values (%)",
    )
    name_lines(axes)
    return figure
