"""The curve of a learning-rate range test."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pantile.visualize.figures import COLORS, draw_lines, figure_file, new_axes


def rate_range_figure(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, suggestion: float | None) -> bytes:
    """A PNG file.

    Args:
        rates: (n,) learning rates, rising.
        losses: (n,) what they led to.
        smoothed: (n,) the same, without its noise.
        suggestion: a rate to mark, or None.
    """
    content = {"loss": (rates, losses), "smoothed": (rates, smoothed)}
    return figure_file(lambda series: _draw(series, suggestion), content, "png")


def _draw(series: Mapping, suggestion: float | None) -> Figure:
    figure, (axes,) = new_axes(3.0)
    draw_lines(axes, series)
    axes.set(title="Learning-rate range test", xlabel="learning rate", ylabel="loss", xscale="log")
    finite = np.concatenate([values[np.isfinite(values)] for _, values in series.values()])
    low, usual = finite.min(), np.percentile(finite, 90)
    axes.set_ylim(low - 0.1 * (usual - low), usual + 0.5 * (usual - low) + 1e-9)  # what left is not worth the room
    if suggestion is not None:
        axes.axvline(suggestion, color=COLORS[2], linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(f" {suggestion:.1e}", (suggestion, 0.95), xycoords=("data", "axes fraction"), color=COLORS[2])
    return figure
