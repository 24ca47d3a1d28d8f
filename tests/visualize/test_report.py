"""The HTML report: complete, self-contained, escaped, and written whole or not at all."""

import base64
import io
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.visualize import report
from pantile.visualize.inside import Inside
from pantile.visualize.report import Example, ReportData, draw_example, render_report, write_report

PARTS = {"summary", "curves", "classes", "class-table", "images", "inside", "balance", "config"}
VOID_TAGS = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects ids, attributes and text, and fails on tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids, self.references, self.words, self.tags, self._open = set(), [], [], [], []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids |= {value for name, value in attrs if name == "id"}
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID_TAGS:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data.strip())


@pytest.fixture
def data(photo, scene, taxonomy) -> ReportData:
    quality = {"pq": 0.4213, "sq": 0.75, "rq": 0.5617, "n": 3}
    classes = {
        name: {"pq": 0.1 * k, "sq": 0.5, "rq": 0.2 * k, "tp": 1000 * k, "fp": 2, "fn": 3}
        for k, name in enumerate(taxonomy.names)
    }
    classes["street"] = {"pq": None, "sq": None, "rq": None, "tp": 0, "fp": 0, "fn": 0}
    steps = np.arange(5.0)
    example = draw_example("val_0001.jpg", photo, taxonomy, scene, scene, 0.873)
    return ReportData(
        title="kmax_tiny",
        recipe="kmax_tiny",
        model="kMaX-DeepLab",
        parameters=57_400_000,
        date="2026-01-02",
        version="0.1.0 (abc1234)",
        command="pantile train kmax_tiny --seed 7",
        seed="7",
        hardware="2 CPU cores",
        dataset="scenes",
        results={"panoptic": {"all": quality, "things": quality, "stuff": quality, "per_class": classes}},
        taxonomy=taxonomy,
        metrics={"step": steps, "lr": steps, "train/fp_fn_final": steps + 1},
        best=[example],
        worst=[Example("no_truth.jpg", photo)],
        inside=[Inside("val_0001.jpg", "What it shows.", [(photo, "one"), (photo, "two")])],
        config="model:\n  queries: 16\n",
    )


def test_every_part_is_on_the_page(data):
    page = Page(render_report(data))
    assert page.ids == PARTS
    words = "\n".join(page.words)
    header = [
        "kmax_tiny",
        "57.4 M",
        "2026-01-02",
        "0.1.0 (abc1234)",
        "2 CPU cores",
        "scenes",
        "pantile train kmax_tiny",
    ]
    images = ["Best images", "Worst images", "val_0001.jpg", "PQ 87.3", "no_truth.jpg", "wrong class", "missed"]
    classes = ["42.1", "window", "car", "wall", "street", "thing", "stuff", "1,000", "–"]
    assert [wanted for wanted in [*header, *images, *classes, "queries: 16"] if wanted not in words] == []


def test_the_page_refers_to_nothing_outside_itself(data):
    html = render_report(data)
    page = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert len(page.references) == 1 + 2 + 4 + 1 + 2  # curve, balance, two examples, cluster figures
    assert all(reference.startswith("data:image/") for reference in page.references)


def test_every_picture_opens(data):
    kinds = set()
    for reference in Page(render_report(data)).references:
        header, content = reference.split(",", 1)
        kinds.add(header)
        content = base64.b64decode(content)
        if "svg" in header:
            assert ElementTree.fromstring(content).tag.endswith("svg")
        else:
            assert Image.open(io.BytesIO(content)).size == (64, 48)
    assert kinds == {"data:image/svg+xml;base64", "data:image/jpeg;base64"}


def test_large_pictures_are_made_smaller(data):
    data.best = [Example("big.jpg", np.zeros((1000, 2000, 3), dtype=np.uint8))]
    data.worst, data.inside, data.metrics = (), (), None
    (reference,) = Page(render_report(data)).references
    assert Image.open(io.BytesIO(base64.b64decode(reference.split(",")[1]))).size == (800, 400)


@pytest.mark.parametrize(
    ("field", "empty", "gone"),
    [
        ("results", None, {"summary", "classes", "class-table"}),
        ("metrics", None, {"curves", "balance"}),
        ("inside", (), {"inside"}),
        ("config", "", {"config"}),
        ("best", (), set()),  # the worst images still have their place
    ],
)
def test_a_missing_part_is_absent(data, field, empty, gone):
    setattr(data, field, empty)
    assert Page(render_report(data)).ids == PARTS - gone


def test_an_empty_report_is_a_page():
    assert Page(render_report(ReportData())).ids == set()


def test_no_images_means_no_gallery(data):
    data.best, data.worst, data.metrics = (), (), None
    assert "images" not in Page(render_report(data)).ids


def test_results_with_gaps_and_nan(data):
    data.metrics = None
    nan = float("nan")
    classes = {"unknown": {"pq": 0.5}, "absent": {"pq": nan, "sq": nan, "rq": nan, "tp": 0, "fp": 0, "fn": 0}}
    data.results = {"panoptic": {"all": {"pq": nan, "sq": None}, "per_class": classes}}
    html = render_report(data)
    words = Page(html).words
    assert "50.0" in words
    assert "nan" not in " ".join(words).lower()
    assert '"nan"' not in html
    assert ": nan" not in html


def test_ratios_given_apart_are_drawn(data):
    data.metrics, data.fp_fn = None, {"with ReMask": np.array([3.0, 30.0]), "without": np.array([300.0])}
    assert "balance" in Page(render_report(data)).ids


def test_names_are_escaped(data, photo):
    data.taxonomy = Taxonomy((ClassInfo('<b>bold</b> & "x"', True, 1, (1, 2, 3)),))
    data.results = {"panoptic": {"per_class": {'<b>bold</b> & "x"': {"pq": 0.5}}}}
    data.best, data.worst = [Example("<script>alert(1)</script>.jpg", photo, classes=(0,))], ()
    data.metrics = None
    data.title, data.command, data.config = "<i>title</i>", "a < b && c", "x: '</pre><h1>'"
    html = render_report(data)
    page = Page(html)
    assert "b" not in page.tags
    assert "i" not in page.tags
    assert page.tags.count("script") == 1
    assert page.tags.count("h1") == 1
    assert page.words.count('<b>bold</b> & "x"') == 2  # table and legend
    assert "a < b && c" in page.words


def test_writing_makes_the_folder_and_leaves_no_other_file(data, tmp_path):
    path, data.metrics = tmp_path / "run" / "report.html", None
    write_report(path, data)
    assert path.read_text(encoding="utf-8") == render_report(data)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_report(data, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(data):
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(report, "render_report", fail)
    with pytest.raises(RuntimeError):
        write_report(path, data)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_other_tasks_have_a_line_each_where_they_were_measured():
    results = {"instance": {"ap": 0.25, "ap50": 0.5, "ap75": None}, "semantic": {"miou": 0.75, "pixel_accuracy": 1.0}}
    page = render_report(ReportData(results=results))
    assert "AP 25.0, AP50 50.0, AP75 –" in page and "mIoU 75.0, pixel accuracy 100.0" in page
    assert "mIoU" not in render_report(ReportData(results={}))
