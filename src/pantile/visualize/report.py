"""The HTML report of a run: one file that opens anywhere, with every picture inside it."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

from pantile.contracts.atomic import replacing
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.percent import percent
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.curves import confusion_figure, curve_figures, ratio_histogram
from pantile.visualize.inside import Inside
from pantile.visualize.overlay import error_map, overlay
from pantile.visualize.palette import ERROR_COLORS

LONGEST_SIDE = 800  # pixels of a picture inside the report


@dataclass
class Example:
    """One validation image. Pictures are (H, W, 3) uint8, drawn already; a missing one is left out.

    Attributes:
        name: file name.
        image: the photo.
        ground_truth: drawn over the photo.
        prediction: drawn over the photo.
        error: what ``error_map`` gives.
        pq: of this image, 0..1; None if nothing was there to be found.
        classes: class indices that occur, for the legend.
    """

    name: str
    image: np.ndarray
    ground_truth: np.ndarray | None = None
    prediction: np.ndarray | None = None
    error: np.ndarray | None = None
    pq: float | None = None
    classes: tuple[int, ...] = ()


@dataclass
class ConfusedThing:
    """A predicted thing that covers several true ones.

    Attributes:
        name: file name of the image.
        note: what it covers, in words.
        picture: (H, W, 3) uint8, what ``draw_confused`` gives.
    """

    name: str
    note: str
    picture: np.ndarray


@dataclass
class ReportData:
    """All that a report can show. What is None or empty is absent from the page.

    Attributes:
        title: heading of the page.
        recipe, model, weights, date, version, command, seed, hardware, dataset: text for the header.
        parameters: count of trainable parameters.
        results: ``{"panoptic": {"all": {"pq", "sq", "rq", "n"}, "things": {...}, "stuff": {...},
            "per_class": {name: {"pq", "sq", "rq", "tp", "fp", "fn"}}}}``; qualities 0..1, any value may be None. The
            groups "thing_pixels", "thing_confusion", "instance" and "semantic" of ``pantile eval`` are shown where they
            are there.
        taxonomy: colours and thing/stuff of the classes.
        metrics: columns of the metrics CSV, from ``read_metrics``.
        fp_fn: name -> ratios of false-positive to false-negative mask loss, measured apart from ``metrics``.
        best, worst: validation images.
        confused: predicted things that cover several true ones, worst first.
        inside: figures of what happens inside the model, from ``draw_inside``.
        config: the resolved config as YAML text.
    """

    title: str = "Panoptic segmentation report"
    recipe: str = ""
    model: str = ""
    weights: str = ""
    parameters: int | None = None
    date: str = ""
    version: str = ""
    command: str = ""
    seed: str = ""
    hardware: str = ""
    dataset: str = ""
    results: Mapping[str, Any] | None = None
    taxonomy: Taxonomy | None = None
    metrics: Mapping[str, np.ndarray] | None = None
    fp_fn: Mapping[str, np.ndarray] | None = None
    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()
    confused: Sequence[ConfusedThing] = ()
    inside: Sequence[Inside] = ()
    config: str = ""


def write_report(path: str | Path, data: ReportData) -> None:
    """Writes the page; a reader sees either the old file or the whole new one.

    Args:
        path: an ``.html`` file; its folder is made if need be.
        data: what to show.
    """
    with replacing(Path(path)) as temporary:
        temporary.write_text(render_report(data), encoding="utf-8")


def render_report(data: ReportData) -> str:
    """The page as text. It refers to nothing outside itself."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=_percent, picture=_picture, figure=_figure, rgb=_rgb)
    source = resources.files("pantile.visualize").joinpath("templates", "report.html.j2").read_text("utf-8")
    panoptic = (data.results or {}).get("panoptic") or {}
    curves = curve_figures(data.metrics) if data.metrics else {}
    return environment.from_string(source).render(
        data=data,
        facts=_facts(data),
        cards=[(label, _values(panoptic[part], "pq", "sq", "rq", "n")) for part, label in _PARTS if panoptic.get(part)],
        things=_thing_cards(data),
        confusion=_confusion(data),
        classes=_class_rows(panoptic.get("per_class") or {}, data.taxonomy),
        curves=[(curves[key], caption) for key, caption in _CURVES if key in curves],
        ratios=_ratio_figures(data, curves),
        galleries=[
            (title, shown) for title, shown in (("Best images", data.best), ("Worst images", data.worst)) if shown
        ],
        legend=_legend([*data.best, *data.worst], data.taxonomy),
        errors=ERROR_COLORS if any(e.error is not None for e in [*data.best, *data.worst]) else {},
    )


def draw_example(
    name: str,
    image: np.ndarray,
    taxonomy: Taxonomy,
    ground_truth: PanopticMap | None = None,
    prediction: PanopticMap | None = None,
    pq: float | None = None,
) -> Example:
    """An ``Example`` with its overlays and, given both maps, its error map."""
    maps = [m for m in (ground_truth, prediction) if m is not None]
    both = ground_truth is not None and prediction is not None
    return Example(
        name,
        image,
        overlay(image, ground_truth, taxonomy) if ground_truth is not None else None,
        overlay(image, prediction, taxonomy) if prediction is not None else None,
        error_map(prediction, ground_truth, image) if both else None,
        pq,
        tuple(sorted({segment.class_index for m in maps for segment in m.segments})),
    )


_PARTS = (("all", "PQ"), ("things", "PQ things"), ("stuff", "PQ stuff"))
_CURVES = (
    ("miou", "Mean intersection over union on the validation images"),
    ("pq", "Panoptic quality on the validation images"),
    ("losses", "Loss terms in training, each on its own scale"),
    ("learning_rate", "Learning rate"),
)


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """Label and text of the header's lines that have something to say."""
    count = "" if data.parameters is None else f"{data.parameters / 1e6:.1f} M"
    facts = (
        ("Recipe", data.recipe),
        ("Model", data.model),
        ("Parameters", count),
        ("Weights", data.weights),
        ("Dataset", data.dataset),
        ("Instances", _measures(data, "instance", {"ap": "AP", "ap50": "AP50", "ap75": "AP75"})),
        ("Classes", _measures(data, "semantic", {"miou": "mIoU", "pixel_accuracy": "pixel accuracy"})),
        ("Seed", str(data.seed)),
        ("Date", data.date),
        ("Version", data.version),
        ("Hardware", data.hardware),
    )
    return [(label, words) for label, words in facts if words]


def _measures(data: ReportData, task: str, labels: Mapping[str, str]) -> str:
    """The numbers of another task in one line, in percent; empty if it was not measured."""
    values = (data.results or {}).get(task) or {}
    return ", ".join(f"{label} {_percent(values.get(name))}" for name, label in labels.items()) if values else ""


def _things_of(data: ReportData) -> dict[str, Mapping]:
    """Where things were measured: name -> a mapping with "thing_pixels" and "thing_confusion"."""
    results = data.results or {}
    found = {"panoptic map": results, "instances": results.get("instance") or {}}
    return {name: group for name, group in found.items() if group.get("thing_pixels") and group.get("thing_confusion")}


def _thing_cards(data: ReportData) -> list[tuple[str, dict, float | None]]:
    """Label, accuracy and precision, and the least score of what was counted."""
    return [
        (name, _values(group["thing_pixels"], "accuracy", "precision"), group.get("score_threshold"))
        for name, group in _things_of(data).items()
    ]


def _confusion(data: ReportData) -> bytes | None:
    return confusion_figure(
        {name: group["thing_confusion"]["share_at_percent"] for name, group in _things_of(data).items()}
    )


def _class_rows(per_class: Mapping[str, Mapping], taxonomy: Taxonomy | None) -> list[dict]:
    """The table's rows, in the order of the results."""
    known = {info.name: info for info in taxonomy.classes} if taxonomy else {}
    rows = []
    for name, row in per_class.items():
        info = known.get(name)
        kind = "" if info is None else "thing" if info.is_thing else "stuff"
        values = _values(row, "pq", "sq", "rq", "tp", "fp", "fn")
        rows.append({"name": name, "kind": kind, "color": info.color if info else None} | values)
    return rows


def _values(row: Mapping, *names: str) -> dict[str, float | None]:
    """The named entries; absent ones and NaN, which has no place on a page, become None."""
    values = {name: row.get(name) for name in names}
    return {name: value if value is not None and np.isfinite(value) else None for name, value in values.items()}


def _ratio_figures(data: ReportData, curves: Mapping[str, bytes]) -> list[tuple[bytes, str]]:
    """Histograms and the curve over steps, each with its caption."""
    apart = ratio_histogram(data.fp_fn) if data.fp_fn else None
    figures = (
        (apart or curves.get("fp_fn_histogram"), "How often the false-positive loss is how many times the other"),
        (curves.get("fp_fn_over_steps"), "The same ratio in the course of training"),
    )
    return [(content, caption) for content, caption in figures if content]


def _legend(examples: Sequence[Example], taxonomy: Taxonomy | None) -> list:
    """Classes that occur in the pictures, things first."""
    if taxonomy is None:
        return []
    present = {k for example in examples for k in example.classes}
    return [taxonomy.classes[k] for k in (*taxonomy.thing_indices, *taxonomy.stuff_indices) if k in present]


def _percent(value: float | None) -> str:
    return percent(value, none="–")


def _rgb(color: tuple[int, int, int]) -> str:
    return "rgb({}, {}, {})".format(*color)


def _picture(pixels: np.ndarray, limit: int = LONGEST_SIDE) -> str:
    """A JPEG of at most ``limit`` pixels on its longer side, as a data URI."""
    photo = Image.fromarray(pixels)
    photo.thumbnail((limit, limit), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=87)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _figure(content: bytes) -> str:
    """A PNG or SVG file as a data URI."""
    kind = "png" if content.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()
