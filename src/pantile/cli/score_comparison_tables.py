"""Several scores on the terminal: PQ of each with its interval, then what changed by class and by image."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pantile.cli.score_error_tables import compared_errors
from pantile.cli.tables import make_table
from pantile.contracts.percent import percent

if TYPE_CHECKING:
    from pantile.score.comparison import Interval, ScoreComparison

_ROWS = 10


def print_comparison(comparison: "ScoreComparison", console: Console) -> None:
    first, *others = map(escape, comparison.names)
    images = comparison.scores[0].images
    console.print(f"\n{len(comparison.names)} predictions on {images} images; in brackets 95 % of draws of the images")
    table = make_table("", *(f"PQ {group}" for group in comparison.groups), "SQ", "RQ", "TP", "FP", "FN")
    for number, (name, score) in enumerate(zip(comparison.names, comparison.scores, strict=True)):
        rows = score.quality.per_class.values()
        counts = (f"{sum(getattr(row, key) for row in rows):,}" for key in ("tp", "fp", "fn"))
        intervals = (with_interval(group[number]) for group in comparison.groups.values())
        table.add_row(escape(name), *intervals, *map(percent, (score.quality.all.sq, score.quality.all.rq)), *counts)
    console.print(table)
    deltas = make_table(f"less {first}", *(f"PQ {group}" for group in comparison.deltas))
    for number, name in enumerate(others):
        deltas.add_row(name, *(with_interval(group[number], signed=True) for group in comparison.deltas.values()))
    console.print(deltas)
    console.print(_classes(comparison, others))
    errors = [score.errors for score in comparison.scores if score.errors is not None]
    if errors:
        console.print(compared_errors(comparison.names, errors))
    if comparison.changed:
        table = make_table("file", *map(escape, comparison.names), title="Images that changed most, PQ of the image")
        for image in comparison.changed[:_ROWS]:
            table.add_row(escape(image.name), *map(percent, image.qualities))
        console.print(table)


def _classes(comparison: "ScoreComparison", others: list[str]) -> Table:
    table = make_table("class", *others, title=f"PQ of each class less that of {escape(comparison.names[0])}")
    for name, rows in comparison.strongest_classes():
        table.add_row(escape(name), *(with_interval(row, signed=True) for row in rows))
    return table


def with_interval(row: "Interval", signed: bool = False) -> str:
    """A fraction and its interval in percent."""

    def shown(value: float) -> str:
        text = percent(value)
        return f"+{text}" if signed and value > 0 else text

    return (
        f"{shown(row.value)} [dim]({shown(row.low)} .. {shown(row.high)})[/dim]"
        if row.low == row.low
        else shown(row.value)
    )
