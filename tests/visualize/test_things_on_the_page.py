"""The section about things of the report: numbers, the confusion curve and the close-ups; absent without them."""

from xml.etree import ElementTree

import numpy as np
import pytest

from pantile.visualize import curves
from pantile.visualize.curves import confusion_figure
from pantile.visualize.report import ConfusedThing, ReportData, render_report


def group(accuracy: float | None, share: float | None) -> dict:
    return {
        "thing_pixels": {"accuracy": accuracy, "precision": None, "tp": 1, "fp": 0, "truth": 1},
        "thing_confusion": {"segments": 9, "share_at_percent": {"5": share, "10": share, "50": 0.0}},
    }


def drawn_lines(monkeypatch) -> list:
    """What ``confusion_figure`` draws: (label, x, y) of each line."""
    lines = []
    draw = curves._draw_confusion

    def spy(series):
        figure = draw(series)
        lines.extend((line.get_label(), *map(list, line.get_data())) for line in figure.axes[0].lines)
        return figure

    monkeypatch.setattr(curves, "_draw_confusion", spy)
    return lines


def test_the_curve_is_drawn_in_percent_from_the_lowest_threshold(monkeypatch):
    lines = drawn_lines(monkeypatch)
    shares = {"50": 0.125, "5": 0.5, "10": None}
    content = confusion_figure({"crops": shares, "crops + IBS": {"5": 0.25, "50": 0.0}, "empty": {"5": None}})
    assert ElementTree.fromstring(content).tag.endswith("svg")
    assert lines == [("crops", [5, 50], [50, 12.5]), ("crops + IBS", [5, 50], [25, 0])]


def test_without_a_share_there_is_no_figure():
    assert confusion_figure({"none": dict.fromkeys(("5", "10"))}) is None
    assert confusion_figure({}) is None


@pytest.fixture
def data() -> ReportData:
    close_up = ConfusedThing("street.jpg", "car over 100 % & more", np.zeros((30, 40, 3), np.uint8))
    results = group(0.8125, 0.5) | {"instance": {"ap": 0.25, "score_threshold": 0.5} | group(0.3333, 0.25)}
    return ReportData(results=results, confused=[close_up])


def test_the_section_holds_numbers_curve_and_close_ups(data, monkeypatch):
    lines = drawn_lines(monkeypatch)
    page = render_report(data)
    for words in ("81.2", "33.3", "pixel precision –", "scores from 0.5", "street.jpg", "car over 100 % &amp; more"):
        assert words in page
    assert [line[0] for line in lines] == ["panoptic map", "instances"]
    assert page.count("data:image/svg+xml") == 1 and page.count("data:image/jpeg") == 1


def test_without_things_the_section_is_absent(data):
    data.results, data.confused = {"panoptic": {}}, ()
    assert 'id="things"' not in render_report(data)
    data.results = {"instance": {"ap": 0.25}}
    assert 'id="things"' not in render_report(data)


def test_an_evaluation_without_predicted_things_has_numbers_and_no_curve(data):
    data.results = {
        "thing_pixels": {"accuracy": 0.0, "precision": None},
        "thing_confusion": {"segments": 0, "share_at_percent": {"5": None}},
    }
    data.confused = ()
    page = render_report(data)
    assert 'id="things"' in page and "data:image/svg+xml" not in page
