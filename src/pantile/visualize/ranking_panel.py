"""The panel of models that say which classes an image shows: how well, and what their selection missed."""

from pantile.visualize.ranking import missed_figure
from pantile.visualize.report import ReportData
from pantile.visualize.report_panels import fill_file, register_panel

_CARDS = {
    "class_ap": "AP of classes",
    "image_ap": "AP of images",
    "class_recall": "classes selected",
    "pixel_recall": "pixels selected",
}


@register_panel("presence", "Classes of the image", place=45)
def _presence(data: ReportData) -> str:
    group = (data.results or {}).get("presence")
    if not group:
        return ""
    missed = group.get("missed") or {}
    figure = None
    if missed:
        shown, lost = zip(*missed.values(), strict=True)
        figure = missed_figure(shown, lost, list(missed))
    cards = [(label, group[name]) for name, label in _CARDS.items() if group.get(name) is not None]
    return fill_file("report_presence", cards=cards, selected=group.get("selected"), missed=figure)
