"""Quality against time of many models, with those that no other beats in both (SWideRNet, Figures 1 and 3)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from pantile.contracts.atomic import replacing

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Positions of the points that no other point beats or equals in both; by rising cost.

    Args:
        costs: lower is better.
        gains: higher is better. Of equal points the first is kept.
    """
    order = np.lexsort((-np.asarray(gains, dtype=float), np.asarray(costs, dtype=float)))
    front, best = [], -np.inf
    for position in order.tolist():
        if gains[position] > best:
            front.append(position)
            best = gains[position]
    return front


def draw_scatter(
    path: Path,
    names: Sequence[str],
    costs: Sequence[float],
    gains: Sequence[float],
    cost: str,
    gain: str,
    title: str,
    front: bool = True,
) -> None:
    """A scatter plot, a PNG; the points of the Pareto front are joined and named.

    Args:
        names: one per point.
        costs, gains: of the points.
        cost: label of the horizontal axis.
        gain: label of the vertical axis.
        front: False for a vertical axis that is no gain; then every point is named.
    """
    figure, axes = plt.subplots(figsize=(9, 5.5))
    axes.scatter(costs, gains, s=22, color="#8a94a3", label="candidates", zorder=2)
    named = pareto_front(costs, gains) if front else range(len(names))
    if front:
        front_costs, front_gains = [costs[i] for i in named], [gains[i] for i in named]
        axes.plot(front_costs, front_gains, "o-", color="#d9622b", markersize=6, label="Pareto front", zorder=3)
        axes.legend(loc="lower right")
    for i in named:
        axes.annotate(names[i], (costs[i], gains[i]), xytext=(5, -11), textcoords="offset points", fontsize=8)
    axes.set(xlabel=cost, ylabel=gain, title=title)
    axes.margins(x=0.12, y=0.1)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, bbox_inches="tight")
    plt.close(figure)
