"""Curves of several runs in one figure each: quality on the validation images, the loss, and the learning rate."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from pantile.visualize.curves import columns_over_steps
from pantile.visualize.figures import Series, draw_lines, figure_file, new_axes

#: title -> (column of the log, what the axis is called, whether it is a fraction of 1)
_FIGURES = {
    "Panoptic quality on the validation images": ("val/pq", "PQ (%)", True),
    "Mean intersection over union on the validation images": ("val/miou", "mIoU (%)", True),
    "Loss in training": ("train/loss", "loss", False),
    "Learning rate": ("lr", "", False),
}


def compared_curves(
    logs: Mapping[str, Mapping[str, np.ndarray]], form: Literal["svg", "png"] = "svg"
) -> list[tuple[str, bytes]]:
    """
    Args:
        logs: name of a run -> columns of its log, as ``read_run_log`` gives them.

    Returns:
        Title and file of each figure for which a run has the column, but those in which all runs are the same. A run
        without the column is not in the figure.
    """
    drawn = []
    for title, (column, label, of_one) in _FIGURES.items():
        series: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, metrics in logs.items():
            if column in metrics:
                series |= columns_over_steps(metrics, {name: column})
        if len(series) > 1 and _all_same(list(series.values())):
            continue
        scaled = {name: (steps, 100 * values if of_one else values) for name, (steps, values) in series.items()}
        content = figure_file(lambda series, label=label: _draw(series, label), scaled, form)
        if content is not None:
            drawn.append((title, content))
    return drawn


def _all_same(lines: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    return all(np.array_equal(np.stack(line), np.stack(lines[0])) for line in lines[1:])


def _draw(series: Series, label: str) -> Figure:
    figure, (axes,) = new_axes(2.8)
    draw_lines(axes, series, marked=True)
    axes.set(xlabel="step", ylabel=label)
    axes.set_ylim(bottom=0)
    return figure
