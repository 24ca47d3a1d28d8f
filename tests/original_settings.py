"""The stored tables of the originals' settings (``recipes/originals/*.yaml``), and a recipe's in the same words.

A file holds, for one family:

- ``sources``: where values were read;
- ``blocks``: values with their source, by the dotted name of a field or a name of ``settings_of``. The value "silent"
  says that the source gives none;
- ``sets``: names for several blocks;
- ``rows``: for each recipe its blocks, of which later ones replace values of earlier ones;
- ``ours``: recipes without an original;
- ``deviations``: fields in which recipes (names with wildcards) differ, what they have instead, and the reason.
"""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pantile.engine.config import RunConfig, to_dict

FOLDER = Path(__file__).parent / "recipes" / "originals"


class Deviation(NamedTuple):
    recipes: list[str]
    field: str
    ours: Any
    reason: str

    def holds_for(self, recipe: str) -> bool:
        return any(fnmatchcase(recipe, pattern) for pattern in self.recipes)


class Table(NamedTuple):
    """Of all families: recipe -> field -> (value, source); recipes without an original; deviations."""

    rows: dict[str, dict[str, tuple[Any, str]]]
    ours: list[str]
    deviations: list[Deviation]


def read_table() -> Table:
    table = Table({}, [], [])
    for file in sorted(FOLDER.glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        for recipe, names in content["rows"].items():
            names = [part for name in names for part in content.get("sets", {}).get(name, [name])]
            blocks = [content["blocks"][name] for name in names]
            table.rows[recipe] = {
                field: (value, content["sources"][block["source"]])
                for block in blocks
                for field, value in block["values"].items()
            }
        table.ours.extend(content["ours"])
        for row in content["deviations"]:
            patterns = [row["recipes"]] if isinstance(row["recipes"], str) else row["recipes"]
            table.deviations.append(Deviation(patterns, row["field"], row["ours"], row["reason"]))
    return table


def settings_of(config: RunConfig) -> dict[str, Any]:
    """Every dotted field, and

    warmup_steps, milestone_steps: the schedule in whole steps.
    backbone_warmup_steps, mask_annealing_steps: the same of what only some models have.
    milestone_shares: the schedule in fractions of the run.
    short_side_span: first, last and number of the shorter sides in training.
    """
    settings = _flat(to_dict(config))
    steps, short_sides = config.training.steps, config.augment.short_side
    settings["warmup_steps"] = round(config.optimizer.warmup * steps)
    settings["milestone_steps"] = [round(share * steps) for share in config.optimizer.milestones]
    settings["milestone_shares"] = list(config.optimizer.milestones)
    if config.optimizer.backbone_warmup is not None:
        settings["backbone_warmup_steps"] = round(config.optimizer.backbone_warmup * steps)
    for pair in getattr(config.model, "mask_annealing", ()):
        settings.setdefault("mask_annealing_steps", []).append([round(share * steps) for share in pair])
    if short_sides:
        settings["short_side_span"] = [short_sides[0], short_sides[-1], len(short_sides)]
    return settings


def _flat(group: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in group.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
