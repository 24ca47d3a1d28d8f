"""What all figures share: style, colours, files, lines with names."""

import io
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Series = Mapping[str, tuple[np.ndarray, np.ndarray]]  #: name of a line -> its x and y

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5195", "#56b4e9", "#8c6d1f", "#4d4d4d")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#aeb4bb",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7e9ec",
    "xtick.color": "#5b626a",
    "ytick.color": "#5b626a",
    "legend.frameon": False,
    "svg.hashsalt": "pantile",
}


def figure_file(draw: Callable[[Mapping], Figure], content: Mapping, form: str) -> bytes | None:
    """A file of what ``draw`` makes of the content, "svg" or "png"; None without content."""
    if not content:
        return None
    with rc_context(STYLE):
        figure = draw(content)
        file = io.BytesIO()
        figure.savefig(file, format=form, dpi=200, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def new_axes(height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of the width of a page and its axes, row by row; ``height`` is in inches."""
    figure = Figure(figsize=(9, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def draw_lines(axes: Axes, series: Series, marked: bool = False) -> None:
    """Named lines, few points ``marked``; one line needs no name."""
    for color, (label, (steps, values)) in zip(cycled_colors(), series.items(), strict=False):
        marker = "o" if (marked and len(steps) <= 40) or len(steps) == 1 else None
        axes.plot(steps, values, color=color, label=label, linewidth=1.7, marker=marker, markersize=3.5)
    if len(series) > 1:
        name_lines(axes)


def name_lines(axes: Axes) -> None:
    """Beside the plot, where the names cover nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, handlelength=1.4)


def cycled_colors() -> Iterable[str]:
    while True:
        yield from COLORS
