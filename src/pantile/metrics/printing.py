"""Results in words: percent with one digit, as every verb prints them."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pantile.contracts.percent import percent

if TYPE_CHECKING:
    from pantile.metrics.quality import PanopticQualityResult


def print_quality(quality: "PanopticQualityResult") -> None:
    """The table that every verb shows: PQ, SQ and RQ in percent, groups first, then classes."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("", "PQ", "SQ", "RQ", "TP", "FP", "FN"):
        table.add_column(column, justify="left" if not column else "right")
    content = quality.to_dict()["panoptic"]
    for group in ("all", "things", "stuff"):
        values = content[group]
        table.add_row(f"{group} ({values['n']} classes)", *map(percent, (values["pq"], values["sq"], values["rq"])))
    table.add_section()
    for name, values in content["per_class"].items():
        counts = (str(values[k]) for k in ("tp", "fp", "fn"))
        table.add_row(name, *map(percent, (values["pq"], values["sq"], values["rq"])), *counts)
    Console().print(table)


def print_fractions(of: str, values: Mapping, labels: Mapping[str, str]) -> None:
    """One line.

    Args:
        of: what was measured, in words.
        values: fractions of 1, or None, by key.
        labels: key -> how it is called; only these are printed.
    """
    print(f"{of}: " + ", ".join(f"{label} {percent(values[key])}" for key, label in labels.items()))


def print_classes(of: str, values: Mapping[str, float]) -> None:
    """A table of the classes that have a value.

    Args:
        of: what was measured, in a word.
        values: class name -> fraction of 1, NaN where there is none.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table("", of)
    table.columns[1].justify = "right"
    for name, value in values.items():
        if not math.isnan(value):
            table.add_row(name, percent(value))
    Console().print(table)


def print_things(of: str, group: Mapping) -> None:
    """Pixel accuracy and precision, and the confusion curve.

    Args:
        of: what was measured, in words.
        group: with "thing_pixels" and "thing_confusion", as ``ThingQualityResult.to_dict`` gives them.
    """
    pixels, confusion = group["thing_pixels"], group["thing_confusion"]
    print(f"{of}: pixel accuracy {percent(pixels['accuracy'])}, pixel precision {percent(pixels['precision'])}")
    if confusion["segments"]:
        shares = " ".join(f"{t}:{percent(share)}" for t, share in confusion["share_at_percent"].items())
        print(f"{of}: confused, at T % of two things each: {shares}")
