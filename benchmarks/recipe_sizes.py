"""Sizes of all recipes, counted anew and held against ``src/pantile/recipes/cards.csv``.

    python benchmarks/recipe_sizes.py           # tells what differs; exit status 1 where something does
    python benchmarks/recipe_sizes.py --write   # and writes it

A new recipe gets a row whose task, data set and published results are for people to fill in. Counted on the meta
device: no weights exist, and it takes about three minutes of one core.
"""

import argparse
import csv
import io

from pantile.contracts.atomic import replacing
from pantile.recipes.cards import COLUMNS, FILE, read_rows
from pantile.recipes.registry import ALL_RECIPES, list_recipes
from pantile.recipes.sizes import counting


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    names = [name for name in list_recipes() if name not in ALL_RECIPES.foreign()]
    old, million_parameters = read_rows(), counting()
    empty = dict.fromkeys(COLUMNS, "")
    new = {
        name: old.get(name, empty) | {"name": name, "million_parameters": f"{million_parameters(name):.2f}"}
        for name in names
    }
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    for name in differing:
        before, after = (rows.get(name, {}).get("million_parameters", "no row") for rows in (old, new))
        print(f"{name}: {before} -> {after}")
    if write:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(new.values())
        with replacing(FILE) as path:
            path.write_text(text.getvalue(), encoding="utf-8")
    return 0 if write or not differing else 1


if __name__ == "__main__":
    raise SystemExit(main())
