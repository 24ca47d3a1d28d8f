"""A score on the terminal: the few numbers that matter first, then classes, mistakes and images."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pantile.cli.score_error_tables import error_tables
from pantile.cli.tables import make_table
from pantile.contracts.percent import percent
from pantile.metrics.thing_confusion import THRESHOLDS

if TYPE_CHECKING:
    from pantile.metrics.quality import PanopticQualityResult
    from pantile.score import Score

_GROUPS = ("all", "things", "stuff")
_ROWS = 10  # of the lists of mistakes and images; the JSON holds more
_BAR = 8  # characters


def print_score(score: "Score", console: Console) -> None:
    """Prints every part that has something to say; fractions in percent."""
    console.print(_headline(score))
    if score.missing:
        console.print(f"[bold red]{score.missing} of {score.images} images have no prediction: counted as all void.")
    if not score.images:
        return
    if score.per_class and score.iou is not None:
        console.print(_pixel_classes(score))
    console.print(_groups(score))
    if score.by_size is not None:
        console.print(_sizes(score))
    console.print(_classes(score))
    if score.things is not None and not score.per_class:
        console.print(_things(score))
    if score.confusion is not None and not score.per_class and any(score.confusion.confused):
        console.print(_confusion(score))
    if score.swallowed:
        console.print(_swallowed(score))
    if score.errors is not None:
        for table in error_tables(score.errors):
            console.print(table)
    if any(pq < 1 for pq, _ in score.worst):
        console.print(_worst(score))


def _headline(score: "Score") -> str:
    pq, on = score.quality.all.pq, f"on {score.images} images, {score.quality.all.n} classes"
    if not score.per_class or score.iou is None:
        return f"\n[bold]PQ {percent(pq)}[/bold]  {on}"
    return f"\n[bold]mIoU {percent(score.miou)}[/bold]  {on}; its segments are one per class: PQ {percent(pq)}"


def _pixel_classes(score: "Score") -> Table:
    table = make_table("class", "IoU")
    known = [(name, value) for name, value in score.iou.items() if value == value]
    for name, value in sorted(known, key=lambda row: -row[1]):
        table.add_row(escape(name), percent(value))
    return table


def _groups(score: "Score") -> Table:
    table = make_table("", "classes", "PQ", "SQ", "RQ", *(["boundary PQ"] if score.boundary else []))
    for group in _GROUPS:
        quality = getattr(score.quality, group)
        values = [quality.pq, quality.sq, quality.rq]
        if score.boundary:
            values.append(getattr(score.boundary, group).pq)
        table.add_row(group, str(quality.n), *map(percent, values), style="bold" if group == "all" else None)
    return table


def _sizes(score: "Score") -> Table:
    table = make_table("PQ by segment size", *_GROUPS, "TP", "FP", "FN")
    words = {"small": "small (under 32 x 32)", "medium": "medium (under 96 x 96)", "large": "large"}
    for size, result in score.by_size.items():
        table.add_row(words[size], *(percent(getattr(result, group).pq) for group in _GROUPS), *_counts(result))
    return table


def _things(score: "Score") -> Table:
    table = make_table("pixels of things", "accuracy", "precision")
    table.add_row("", percent(score.things.accuracy), percent(score.things.precision))
    return table


def _confusion(score: "Score") -> Table:
    title = f"Confused things, % of {score.confusion.segments:,}: they cover more than T % of two objects"
    table = make_table("T", *(f"{t}" for t in THRESHOLDS), title=title)
    table.add_row("", *map(percent, score.confusion.curve))
    return table


def _classes(score: "Score") -> Table:
    table = make_table("class", "PQ", "", "SQ", "RQ", *(["boundary"] if score.boundary else []), "TP", "FP", "FN")
    table.columns[2].justify = "left"
    table.columns[2].no_wrap = True
    occurring = [(name, q) for name, q in score.quality.per_class.items() if q.occurs]
    for name, q in sorted(occurring, key=lambda row: -row[1].pq):
        bar = "▇" * round(_BAR * q.pq)
        values = [q.sq, q.rq] + ([score.boundary.per_class[name].pq] if score.boundary else [])
        counts = map(str, (q.tp, q.fp, q.fn))
        table.add_row(escape(name), percent(q.pq), bar, *map(percent, values), *counts)
    absent = len(score.quality.per_class) - len(occurring)
    if absent:
        table.caption = f"classes that never occur and are in no mean: {absent}"
    return table


def _swallowed(score: "Score") -> Table:
    table = make_table("pixels of", "went to", "pixels", "of the class", title="Which class swallowed which")
    table.columns[1].justify = "left"
    for row in score.swallowed[:_ROWS]:
        taken_by = escape(row.predicted) if row.predicted is not None else "[dim]nothing[/dim]"
        table.add_row(escape(row.truth), taken_by, f"{row.pixels:,}", f"{percent(row.share)} %")
    return table


def _worst(score: "Score") -> Table:
    table = make_table("file", "PQ of the image", title="Worst images")
    for pq, name in score.worst[:_ROWS]:
        table.add_row(escape(name), percent(pq))
    return table


def _counts(result: "PanopticQualityResult") -> list[str]:
    classes = result.per_class.values()
    return [f"{sum(getattr(c, key) for c in classes):,}" for key in ("tp", "fp", "fn")]
