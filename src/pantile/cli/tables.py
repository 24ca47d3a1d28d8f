"""The tables that verbs print."""

from rich import box
from rich.table import Table


def make_table(*columns: str, title: str | None = None) -> Table:
    """The first column to the left, numbers to the right."""
    own = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        title_style="bold",
        caption_justify="left",
    )
    for position, column in enumerate(columns):
        own.add_column(column, justify="right" if position else "left")
    return own
