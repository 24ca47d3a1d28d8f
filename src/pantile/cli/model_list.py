"""``pantile models list``: every recipe with its size, task, data set and published results."""

import argparse
import shutil
import sys
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from pantile.cli.numbers import above_zero

if TYPE_CHECKING:
    from pantile.recipes.cards import Card

_ABOUT = """# Model zoo

Made by `pantile models list --markdown` from `src/pantile/recipes/cards.csv`. `pantile models list WORD ...` shows some
of it, `pantile models info NAME` also counts multiply-adds. What recipes set, and where they differ from the originals:
[Recipes](recipes.md).

Parameters are millions at inference, with the classes of the data set, or of COCO where it is any. Published results
are the originals', not this package's (those are in [Results](results.md)): percent on the validation split, at one
scale unless it says otherwise. Weights do not come with a recipe; `pantile convert` reads those of the originals.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="only recipes with all of these in name, task or data set: panoptic swin",
    )
    parser.add_argument(
        "--task", type=_task, metavar="TASK", help='this one alone: panoptic, semantic, "video instance" ...'
    )
    parser.add_argument(
        "--data", metavar="NAME", help="this data set alone: coco, ade20k, cityscapes ...; any for nano sizes"
    )
    parser.add_argument("--max-size", type=above_zero, metavar="M", help="at most so many million parameters")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--names", action="store_true", help="names alone, one a line")
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="as the page docs/zoo.md")


def run(args: argparse.Namespace) -> int:
    from pantile.recipes.cards import chosen_cards, list_cards

    cards = chosen_cards(list_cards(), args.words, args.task, args.data, args.max_size)
    if args.names:
        print("\n".join(card.name for card in cards))
    elif args.json:
        _print_json(cards)
    elif args.markdown:
        print(zoo_page(cards), end="")
    elif sys.stdout.isatty():
        _print_families(cards)
    else:
        _print_lines(cards)
    return 0


def zoo_page(cards: "list[Card]") -> str:
    """A page in Markdown: a table for each family."""
    lines = [_ABOUT]
    for title, family in _families(cards):
        lines += [f"## {title}", "", "| recipe | M | task | data | published |", "|---|---:|---|---|---|"]
        lines += [f"| `{card.name}` | {' | '.join(_cells(card))} |" for card in family] + [""]
    return "\n".join(lines)


def _families(cards: "list[Card]") -> "list[tuple[str, list[Card]]]":
    """Cards of one module beside each other."""
    from pantile.recipes.registry import ALL_RECIPES, family_title

    homes = sorted(cards, key=lambda card: (ALL_RECIPES.home(card.name), card.name))
    return [(title, list(family)) for title, family in groupby(homes, lambda card: family_title(card.name))]


def _cells(card: "Card") -> tuple[str, str, str, str]:
    """All but the name; empty where nothing is known."""
    size = "" if card.million_parameters is None else f"{card.million_parameters:.1f}"
    return size, card.task or "", card.data or "", card.published


def _print_families(cards: "list[Card]") -> None:
    """For people: a heading and aligned rows for each family."""
    width = shutil.get_terminal_size().columns
    for title, family in _families(cards):
        print(title)
        for *cells, published in _aligned(family):
            start = "  ".join(["", *cells, ""])
            room = max(24, width - len(start))
            print(start + f"\n{' ' * len(start)}".join(textwrap.wrap(published, room) or [""]))
        print()


def _print_lines(cards: "list[Card]") -> None:
    """For pipes: a recipe a line, its name first."""
    for row in _aligned(cards):
        print("  ".join(row).rstrip())


def _aligned(cards: "list[Card]") -> list[list[str]]:
    """Name, size, task, data set and results of each, all but the last padded to the width of their column."""
    rows = [(card.name, f"{size} M" if size else "", *others) for card in cards for size, *others in [_cells(card)]]
    name, size, task, data, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [[row[0].ljust(name), row[1].rjust(size), row[2].ljust(task), row[3].ljust(data), row[4]] for row in rows]


def _print_json(cards: "list[Card]") -> None:
    import json
    from dataclasses import asdict

    facts = [asdict(card) | {"published": [asdict(score) for score in card.scores]} for card in cards]
    print(json.dumps(facts, indent=1))


def _task(text: str) -> str:
    from pantile.recipes.cards import TASKS

    if text not in TASKS:
        raise argparse.ArgumentTypeError(f"there is no task {text!r}: choose {', '.join(TASKS)}")
    return text
