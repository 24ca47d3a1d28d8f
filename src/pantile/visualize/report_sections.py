"""The panels of the package: what ``ReportData`` holds, a section each."""

from collections.abc import Mapping, Sequence

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.curves import confusion_figure, curve_figures, ratio_histogram
from pantile.visualize.palette import ERROR_COLORS
from pantile.visualize.report import Example, ReportData
from pantile.visualize.report_panels import fill_file, register_panel

_PARTS = (("all", "PQ"), ("things", "PQ things"), ("stuff", "PQ stuff"))
_CURVES = {
    "miou": "Mean intersection over union on the validation images",
    "pq": "Panoptic quality on the validation images",
    "losses": "Loss terms in training, each on its own scale",
    "learning_rate": "Learning rate",
}
_RATIOS = {
    "fp_fn_histogram": "How often the false-positive loss is how many times the other",
    "fp_fn_over_steps": "The same ratio in the course of training",
}


@register_panel("summary", "Quality", place=10)
def _summary(data: ReportData) -> str:
    """Of a model that tells no things apart, the quality of classes comes first."""
    results = data.results or {}
    panoptic, semantic = results.get("panoptic") or {}, results.get("semantic")
    groups = [(label, _values(panoptic[part], "pq", "sq", "rq", "n")) for part, label in _PARTS if panoptic.get(part)]
    cards = [(label, own["pq"], {"SQ": own["sq"], "RQ": own["rq"]}, own["n"]) for label, own in groups]
    if semantic and data.per_class:
        accuracy = _values(semantic, "pixel_accuracy", "mean_accuracy")
        parts = {"pixel accuracy": accuracy["pixel_accuracy"], "class accuracy": accuracy["mean_accuracy"]}
        cards.insert(0, ("mIoU", _values(semantic, "miou")["miou"], parts, semantic.get("n")))
    return fill_file("report_summary", cards=cards) if cards else ""


@register_panel("curves", "Training", place=20)
def _curves(data: ReportData) -> str:
    figures = curve_figures(data.metrics, names=_CURVES) if data.metrics else {}
    return _captioned("report_curves", figures, _CURVES)


@register_panel("classes", "Classes", place=30)
def _classes(data: ReportData) -> str:
    """A table of PQ and IoU, in the order of the results."""
    iou = ((data.results or {}).get("semantic") or {}).get("per_class", {})
    known = {info.name: info for info in data.taxonomy.classes} if data.taxonomy else {}
    rows = []
    for name, row in ((data.results or {}).get("panoptic") or {}).get("per_class", {}).items():
        info = known.get(name)
        kind = "" if info is None else "thing" if info.is_thing else "stuff"
        values = _values(row | {"iou": iou.get(name)}, "pq", "sq", "rq", "iou", "tp", "fp", "fn")
        rows.append({"name": name, "kind": kind, "color": info.color if info else None} | values)
    return fill_file("report_classes", classes=rows, with_iou=bool(iou)) if rows else ""


@register_panel("things", "Things", place=40)
def _things(data: ReportData) -> str:
    """Pixel accuracy and precision with the least score of what was counted, the confusion curve, and close-ups."""
    groups = _groups_of_things(data.results or {})
    if not groups and not data.confused:
        return ""
    cards = [
        (name, _values(group["thing_pixels"], "accuracy", "precision"), group.get("score_threshold"))
        for name, group in groups.items()
    ]
    curve = confusion_figure({name: group["thing_confusion"]["share_at_percent"] for name, group in groups.items()})
    return fill_file("report_things", things=cards, confusion=curve, confused=data.confused)


@register_panel("images", "Images", place=50)
def _images(data: ReportData) -> str:
    galleries = [(title, shown) for title, shown in (("Best images", data.best), ("Worst images", data.worst)) if shown]
    examples = [*data.best, *data.worst]
    errors = ERROR_COLORS if any(example.error is not None for example in examples) else {}
    legend = _legend(examples, data.taxonomy)
    return fill_file("report_images", galleries=galleries, legend=legend, errors=errors) if galleries else ""


@register_panel("inside", "Inside the model", place=60)
def _inside(data: ReportData) -> str:
    return fill_file("report_inside", insides=data.inside) if data.inside else ""


@register_panel("balance", "Balance of the mask loss", place=70)
def _balance(data: ReportData) -> str:
    """Histograms, those measured apart first, and the curve over steps."""
    figures = curve_figures(data.metrics, names=_RATIOS) if data.metrics else {}
    apart = ratio_histogram(data.fp_fn) if data.fp_fn else None
    return _captioned("report_balance", figures | ({"fp_fn_histogram": apart} if apart else {}), _RATIOS)


@register_panel("config", "Config", place=90)
def _config(data: ReportData) -> str:
    return fill_file("report_config", config=data.config) if data.config else ""


def _captioned(template: str, figures: Mapping[str, bytes], captions: Mapping[str, str]) -> str:
    shown = [(figures[key], caption) for key, caption in captions.items() if key in figures]
    return fill_file(template, figures=shown) if shown else ""


def _groups_of_things(results: Mapping) -> dict[str, Mapping]:
    """Where things were measured: name -> a mapping with "thing_pixels" and "thing_confusion"."""
    groups = {"panoptic map": results, "instances": results.get("instance") or {}}
    return {name: group for name, group in groups.items() if group.get("thing_pixels") and group.get("thing_confusion")}


def _values(row: Mapping, *names: str) -> dict[str, float | None]:
    """The named entries; absent ones and NaN, which has no place on a page, become None."""
    values = {name: row.get(name) for name in names}
    return {name: value if value is not None and np.isfinite(value) else None for name, value in values.items()}


def _legend(examples: Sequence[Example], taxonomy: Taxonomy | None) -> list:
    """Classes that occur in the pictures, things first."""
    if taxonomy is None:
        return []
    present = {k for example in examples for k in example.classes}
    return [taxonomy.classes[k] for k in (*taxonomy.thing_indices, *taxonomy.stuff_indices) if k in present]
