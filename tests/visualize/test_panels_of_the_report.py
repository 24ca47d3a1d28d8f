"""Panels of a report by name: their place, and that what has nothing to show is absent."""

import re

import pytest

from pantile.visualize import PANELS, ReportData, fill
from pantile.visualize.report import render_report
from pantile.visualize.report_panels import Panel


@pytest.fixture(autouse=True)
def registered(monkeypatch) -> None:
    """Two more panels: one of the results, one that never has anything to show."""

    def names(data: ReportData) -> str:
        return fill("<p>{{ name }}, {{ share | percent }}</p>", name="<b>a & b</b>", share=data.results["share"])

    more = {"empty": Panel("Nothing", lambda data: "", 5), "names": Panel("Names & more", names, 80)}
    monkeypatch.setattr(PANELS, "_parts", {**more, **PANELS})


def test_a_panel_stands_at_its_place_and_is_escaped():
    page = render_report(ReportData(results={"share": 0.123, "panoptic": {"all": {"pq": 0.5}}}, config="seed: 1"))
    assert re.findall(r'<section id="(\w+)">', page) == ["summary", "names", "config"]
    assert "<h2>Names &amp; more</h2>" in page
    assert "<p>&lt;b&gt;a &amp; b&lt;/b&gt;, 12.3</p>" in page
