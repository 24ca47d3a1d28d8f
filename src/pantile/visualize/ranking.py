"""Figures of ranked and selected classes (RankSeg, He et al., ECCV 2022): temperatures, confidences, misses."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from pantile.contracts.errors import UserError
from pantile.visualize.figures import COLORS, draw_lines, figure_file, new_axes

MOST_SHOWN = 40  # classes in a figure
_PRESENT, _ABSENT, _MISSED = COLORS[2], "#c3c8ce", COLORS[1]
_DASHED = {"color": "#5b626a", "linewidth": 0.9, "linestyle": (0, (4, 3))}


def temperature_figure(gains: Mapping[str, np.ndarray], form: Literal["svg", "png"] = "svg") -> bytes | None:
    """What a class logit is multiplied with, by the rank of its class (RankSeg, Figure 7).

    Args:
        gains: name of a run or a layer -> (k,) learned 1 / temperature, first rank first.
        form: file format.

    Returns:
        File content, or None without gains.
    """
    series = {name: (np.arange(1, len(own) + 1), np.asarray(own, float)) for name, own in gains.items() if len(own)}
    return figure_file(_draw_temperature, series, form)


def confidence_figure(
    logits: np.ndarray,
    names: Sequence[str],
    present: np.ndarray | None = None,
    selected: int | None = None,
    form: Literal["svg", "png"] = "svg",
) -> bytes:
    """How sure a model is of the classes of one image, surest first (RankSeg, Figure 1c).

    Args:
        logits: (K,) for a sigmoid, whether the image shows a class.
        names: K, of the classes.
        present: (K,) bool, the classes that it shows; their bars are coloured. None where that is not known.
        selected: number of classes, from the first rank on, that were let through; None for all.
        form: file format.

    Returns:
        File content; beyond ``MOST_SHOWN`` ranks only present classes are shown.

    Raises:
        UserError: the numbers of classes differ.
    """
    if len(logits) != len(names) or (present is not None and len(present) != len(names)):
        raise UserError(f"There are confidences of {len(logits)} classes for {len(names)} names: give one for each.")
    order = np.argsort(-np.asarray(logits), kind="stable")
    shown = [rank for rank, k in enumerate(order) if rank < MOST_SHOWN or (present is not None and present[k])][
        : 2 * MOST_SHOWN
    ]
    content = {
        "names": [names[order[rank]] for rank in shown],
        "ranks": np.array(shown) + 1,
        "confidence": 1 / (1 + np.exp(-np.asarray(logits, float)[order[shown]])),
        "present": None if present is None else np.asarray(present)[order[shown]],
        "selected": selected,
    }
    return figure_file(_draw_confidence, content, form)


def missed_figure(
    shown: np.ndarray, missed: np.ndarray, names: Sequence[str], form: Literal["svg", "png"] = "svg"
) -> bytes | None:
    """The classes that the selection leaves out most often although the image shows them.

    Args:
        shown: (K,) number of images that show a class.
        missed: (K,) in how many of them it was not selected.
        names: K, of the classes.
        form: file format.

    Returns:
        File content, or None if nothing was missed.

    Raises:
        UserError: the numbers of classes differ, or more was missed than shown.
    """
    shown, missed = np.asarray(shown), np.asarray(missed)
    if not len(shown) == len(missed) == len(names):
        raise UserError(f"There are {len(shown)} and {len(missed)} counts for {len(names)} names: give one for each.")
    if (missed > shown).any():
        k = int(np.flatnonzero(missed > shown)[0])
        raise UserError(f"{names[k]!r} was missed in {missed[k]} images but shown in {shown[k]}: correct the counts.")
    order = np.argsort(-missed, kind="stable")[:MOST_SHOWN]
    order = order[missed[order] > 0]
    content = {"names": [names[k] for k in order], "shown": shown[order], "missed": missed[order]} if len(order) else {}
    return figure_file(_draw_missed, content, form)


def _draw_temperature(series: Mapping) -> Figure:
    figure, (axes,) = new_axes(2.8)
    draw_lines(axes, series)
    axes.axhline(1, **_DASHED)
    axes.set(title="Learned 1 / temperature by rank of the class", xlabel="rank", ylabel="1 / temperature")
    return figure


def _draw_confidence(content: Mapping) -> Figure:
    confidence, present, selected = content["confidence"], content["present"], content["selected"]
    figure, (axes,) = new_axes(3.2)
    colors = COLORS[0] if present is None else [_PRESENT if own else _ABSENT for own in present]
    axes.bar(np.arange(len(confidence)), confidence, color=colors, width=0.8)
    if selected is not None:
        axes.axvline(np.searchsorted(content["ranks"], selected, side="right") - 0.5, **_DASHED)
    gaps = np.flatnonzero(np.diff(content["ranks"]) > 1)
    labels = [
        f"{name} ({rank})" if rank > MOST_SHOWN else name
        for name, rank in zip(content["names"], content["ranks"], strict=True)
    ]
    for gap in gaps:
        axes.axvline(gap + 0.5, color="#e7e9ec", linewidth=3)
    axes.set_xticks(np.arange(len(labels)), labels, rotation=90, fontsize=7)
    axes.grid(axis="x", visible=False)
    known = "" if present is None else "; coloured: the image shows it"
    cut = "" if selected is None else f"; dashed: the first {selected} are selected"
    axes.set(title=f"Confidence of ranked classes{known}{cut}", ylabel="confidence", ylim=(0, 1))
    axes.margins(x=0.01)
    return figure


def _draw_missed(content: Mapping) -> Figure:
    names, shown, missed = content["names"], content["shown"], content["missed"]
    figure, (axes,) = new_axes(0.9 + 0.17 * len(names))
    place = np.arange(len(names))
    axes.barh(place, shown, color=_ABSENT, height=0.75, label="images that show it")
    axes.barh(place, missed, color=_MISSED, height=0.75, label="of these, not selected")
    axes.set_yticks(place, names, fontsize=7)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(title="Classes that the selection missed", xlabel="images")
    axes.legend(loc="lower right")
    return figure
