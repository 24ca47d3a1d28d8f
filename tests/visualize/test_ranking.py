"""Figures of ranked and selected classes: what is drawn, and what is refused."""

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.visualize import PANELS, ReportData, ranking
from pantile.visualize.ranking import (
    MOST_SHOWN,
    RankedClasses,
    confidence_figure,
    missed_figure,
    temperature_figure,
)

NAMES = [f"class {k}" for k in range(60)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """The axes of each figure."""
    kept, write = [], ranking.figure_file

    def keep(draw, content, form):
        def wrapped(content):
            figure = draw(content)
            kept.append(figure.axes[0])
            return figure

        return write(wrapped, content, form)

    monkeypatch.setattr(ranking, "figure_file", keep)
    return kept


def test_temperatures_are_lines_over_ranks(drawn: list) -> None:
    assert b"<svg" in temperature_figure({"a": np.array([1.5, 1.2, 0.9]), "none": np.array([]), "b": np.ones(2)})
    lines = drawn[0].get_lines()
    assert [line.get_label() for line in lines[:2]] == ["a", "b"]
    assert lines[0].get_xdata().tolist() == [1, 2, 3] and lines[0].get_ydata().tolist() == [1.5, 1.2, 0.9]
    assert temperature_figure({}) is None


def test_confidences_are_ranked_and_present_classes_beyond_the_figure_are_added(drawn: list) -> None:
    logits = np.random.default_rng(0).permutation(np.linspace(4, -4, 60))
    present = np.zeros(60, bool)
    order = np.argsort(-logits)
    present[order[[0, 3, 55]]] = True
    assert confidence_figure(logits, NAMES, present, selected=10, form="png").startswith(b"\x89PNG")
    bars = drawn[0].patches
    heights = [bar.get_height() for bar in bars]
    assert len(bars) == MOST_SHOWN + 1 and heights == sorted(heights, reverse=True)
    assert heights[3] == pytest.approx(1 / (1 + np.exp(-logits[order[3]])))
    labels = [label.get_text() for label in drawn[0].get_xticklabels()]
    assert labels[0] == NAMES[order[0]] and labels[-1] == f"{NAMES[order[55]]} (56)"
    coloured = [k for k, bar in enumerate(bars) if bar.get_facecolor() == bars[0].get_facecolor()]
    assert coloured == [0, 3, MOST_SHOWN]
    assert drawn[0].get_lines()[0].get_xdata()[0] == 9.5  # after the tenth rank
    confidence_figure(logits, NAMES)
    assert len(drawn[1].patches) == MOST_SHOWN and not drawn[1].get_lines()


def test_missed_classes_come_with_how_often_they_are_shown(drawn: list) -> None:
    shown, missed = np.full(60, 9), np.zeros(60, int)
    missed[[7, 30]] = 3, 8
    assert missed_figure(shown, missed, NAMES) is not None
    assert [label.get_text() for label in drawn[0].get_yticklabels()] == ["class 30", "class 7"]
    assert [bar.get_width() for bar in drawn[0].patches] == [9, 9, 8, 3]
    assert missed_figure(shown, np.zeros(60, int), NAMES) is None


def test_counts_that_do_not_fit() -> None:
    with pytest.raises(UserError, match="confidences of 3 classes for 60 names"):
        confidence_figure(np.zeros(3), NAMES)
    with pytest.raises(UserError, match="59 and 60 counts for 60 names"):
        missed_figure(np.zeros(59), np.zeros(60), NAMES)
    with pytest.raises(UserError, match="'class 0' was missed in 2 images but shown in 1"):
        missed_figure(np.ones(60, int), np.full(60, 2), NAMES)


def test_the_panel_shows_what_an_evaluation_found() -> None:
    draw = PANELS["presence"].draw
    assert draw(ReportData(results={"panoptic": {}})) == draw(ReportData(results=None)) == ""
    group = {"class_ap": 0.25, "image_ap": 0.5, "class_recall": None, "pixel_recall": None, "selected": None}
    without = draw(ReportData(results={"presence": group | {"missed": {}}}))
    assert "25.0" in without and "classes selected" not in without and "<img" not in without
    group |= {"class_recall": 0.125, "selected": 7.5, "missed": {"<cat>": [9, 4]}}
    page = draw(ReportData(results={"presence": group}))
    assert "12.5" in page and "On average 7.5 classes" in page and "<img" in page


def test_the_panel_shows_ranked_images_and_learned_temperatures(drawn) -> None:
    group = {"class_ap": 0.25, "image_ap": 0.5, "class_recall": None, "pixel_recall": None, "selected": None}
    data = ReportData(
        results={"presence": group | {"missed": {}}},
        taxonomy=plain_taxonomy(NAMES, []),
        ranked=[RankedClasses("<a>.jpg", np.linspace(-3, 3, 60), np.arange(60) > 55, 10)],
        learned={"rankseg.inverse_temperature": np.linspace(1.2, 0.6, 10), "another.thing": np.ones(3)},
    )
    page = PANELS["presence"].draw(data)
    assert page.count("<img") == 2 and "&lt;a&gt;.jpg" in page
    confidence, temperature = drawn
    assert confidence.get_title("left").startswith("Confidence of ranked classes")
    assert temperature.lines[0].get_ydata().tolist() == np.linspace(1.2, 0.6, 10).tolist()
