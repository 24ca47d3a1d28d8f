"""Mistakes by kind on the terminal: what each kind costs, of all classes and of those that lose most."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from pantile.cli.tables import make_table
from pantile.contracts.percent import percent

if TYPE_CHECKING:
    from pantile.metrics.error_tally import PanopticErrorsResult

_CLASSES = 10  # of the second table; the JSON holds all


def error_tables(errors: "PanopticErrorsResult") -> list[Table]:
    """One by kind, and one by class where there are mistakes; fractions in percent."""
    kinds = make_table(
        "mistake",
        "PQ lost",
        "of things",
        "of stuff",
        "FN",
        "FP",
        "matches",
        title="What repairing each kind would gain",
    )
    for kind, row in errors.kinds.items():
        lost = map(percent, (row.lost_pq, row.lost_pq_things, row.lost_pq_stuff))
        kinds.add_row(_words(kind), *lost, f"{row.fn:,}", f"{row.fp:,}", f"{row.raised:,}")
    if not errors.per_class:
        return [kinds]
    classes = make_table("class", *map(_words, errors.kinds), title="PQ of a class lost to each kind")
    for name, rows in errors.most_lost()[:_CLASSES]:
        cells = (percent(rows[kind].lost_pq) if kind in rows else "" for kind in errors.kinds)
        classes.add_row(escape(name), *cells)
    return [kinds, classes]


def compared_errors(names: Sequence[str], errors: "Sequence[PanopticErrorsResult]") -> Table:
    """What each kind costs each of several predictions."""
    table = make_table("mistake", *map(escape, names), title="PQ lost to each kind of mistake")
    for kind in errors[0].kinds:
        table.add_row(_words(kind), *(percent(own.kinds[kind].lost_pq) for own in errors))
    return table


def _words(kind: str) -> str:
    return kind.replace("_", " ")
