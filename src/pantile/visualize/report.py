"""The HTML report of a run: one file that opens anywhere, with every picture inside it; a section for each panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pantile.contracts.atomic import replacing
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.inside import Inside
from pantile.visualize.overlay import error_map, overlay
from pantile.visualize.ranking import RankedClasses
from pantile.visualize.report_panels import dashed_percent, draw_panels, fill_file

if TYPE_CHECKING:
    from pantile.visualize.neighbours import Neighbourhood


@dataclass
class Example:
    """One validation image. Pictures are (H, W, 3) uint8, drawn already; a missing one is left out.

    Attributes:
        name: file name.
        image: the photo.
        ground_truth: drawn over the photo.
        prediction: drawn over the photo.
        error: what ``error_map`` gives.
        quality: of this image, 0..1; None if nothing was there to be found.
        classes: class indices that occur, for the legend.
        measure: what ``quality`` is called.
    """

    name: str
    image: np.ndarray
    ground_truth: np.ndarray | None = None
    prediction: np.ndarray | None = None
    error: np.ndarray | None = None
    quality: float | None = None
    classes: tuple[int, ...] = ()
    measure: str = "PQ"


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
            groups "panoptic_errors", "thing_pixels", "thing_confusion", "instance" and "semantic" of ``pantile eval``
            are shown where they are there.
        per_class: the model classifies pixels and tells no things apart, so that its mean IoU comes first.
        taxonomy: colours and thing/stuff of the classes.
        metrics: columns of the metrics CSV, from ``read_metrics``.
        fp_fn: name -> ratios of false-positive to false-negative mask loss, measured apart from ``metrics``.
        best, worst: validation images.
        confused: predicted things that cover several true ones, worst first.
        inside: figures of what happens inside the model, from ``draw_inside``.
        ranked: images with the classes that a model ranked for them.
        films: (name, film strip) of videos, (H, W, 3) uint8 each.
        neighbours: segments with those of the training set that are nearest.
        learned: "technique.name" -> (n,), what ``Technique.learned`` tells.
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
    per_class: bool = False
    taxonomy: Taxonomy | None = None
    metrics: Mapping[str, np.ndarray] | None = None
    fp_fn: Mapping[str, np.ndarray] | None = None
    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()
    confused: Sequence[ConfusedThing] = ()
    inside: Sequence[Inside] = ()
    ranked: Sequence[RankedClasses] = ()
    films: Sequence[tuple[str, np.ndarray]] = ()
    neighbours: "Sequence[Neighbourhood]" = ()
    learned: Mapping[str, np.ndarray] = field(default_factory=dict)
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
    return fill_file("report", data=data, facts=_facts(data), panels=draw_panels(data))


def draw_example(
    name: str,
    image: np.ndarray,
    taxonomy: Taxonomy,
    ground_truth: PanopticMap | None = None,
    prediction: PanopticMap | None = None,
    quality: float | None = None,
    measure: str = "PQ",
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
        quality,
        tuple(sorted({segment.class_index for m in maps for segment in m.segments})),
        measure,
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
    return ", ".join(f"{label} {dashed_percent(values.get(name))}" for name, label in labels.items()) if values else ""
