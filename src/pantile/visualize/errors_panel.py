"""The panel of mistakes by kind: how many there are, and the PQ that each kind costs."""

from collections.abc import Mapping

from pantile.visualize.report import ReportData
from pantile.visualize.report_panels import fill_file, register_panel

_CLASSES = 12  # the JSON of an evaluation holds all
#: kind -> (what it is called, what it is)
_WORDS = {
    "missed": ("missed", "true segments that no prediction explains"),
    "hallucinated": ("hallucinated", "predictions that no true segment explains"),
    "wrong_class": ("wrong class", "the IoU would do for a match, the class does not"),
    "merged": ("merged", "true segments of a class within one prediction of it"),
    "split": ("split", "predictions of a class on one true segment of it"),
    "bad_border": ("bad border", "of one class, with an IoU between 0.1 and 0.5"),
    "loose_border": ("loose border", "matches with an IoU below 1"),
}


@register_panel("errors", "Mistakes by kind", place=35)
def _errors(data: ReportData) -> str:
    group = (data.results or {}).get("panoptic_errors")
    if not group or not group["per_class"]:
        return ""
    kinds = [(*_WORDS[kind], row) for kind, row in group["kinds"].items()]
    longest = max((row["lost_pq"] or 0 for _, _, row in kinds), default=0)
    rows = sorted(group["per_class"].items(), key=lambda item: -_most(item[1]))[:_CLASSES]
    return fill_file(
        "report_errors",
        kinds=kinds,
        longest=longest or 1,
        names=[(kind, _WORDS[kind][0]) for kind in group["kinds"]],
        classes=[(name, {kind: row["lost_pq"] for kind, row in own.items()}) for name, own in rows],
        more=len(group["per_class"]) - len(rows),
    )


def _most(rows: Mapping[str, Mapping]) -> float:
    """What a class loses to the kind that costs it most."""
    return max(row["lost_pq"] or 0 for row in rows.values())
