"""What is known of a recipe without building it: its task, data set, size and published results.

``cards.csv`` has a row for each recipe of this package; task and data set are empty where the name says them. It is the
only place of the published numbers; its sizes are what ``benchmarks/recipe_sizes.py --write`` counts. Reading it needs
no torch.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.data.classes.vocabularies import vocabulary_of
from pantile.recipes.registry import list_recipes

FILE = Path(__file__).with_name("cards.csv")
COLUMNS = ("name", "task", "data", "million_parameters", "published")
TASKS = (
    "panoptic",
    "instance",
    "semantic",
    "multi-label",
    "video panoptic",
    "video instance",
    "video semantic",
)
#: data sets of one task
_TASK_OF_DATA = {
    **dict.fromkeys(("ade20k_full", "coco_lvis", "coco_stuff10k", "pascal_context"), "semantic"),
    **dict.fromkeys(("youtube_vis_2019", "youtube_vis_2021"), "video instance"),
    "vspw": "video semantic",
    "vipseg": "video panoptic",
}
#: in place of a data set: a recipe for whatever its user has
ANY = "any"


@dataclass(frozen=True)
class Score:
    """A result of the original on the validation split of its data set.

    Attributes:
        metric: such as "PQ"; all are in percent.
        value: as it was printed, 0..100.
        condition: where it is not one image at one scale, or not quite this recipe; else "".
    """

    metric: str
    value: float
    condition: str = ""


@dataclass(frozen=True)
class Card:
    """
    Attributes:
        name: of the recipe.
        task: one of ``TASKS``; None where nobody wrote it down, as for recipes of plugins.
        data: the data set as recipes name it, ``ANY``, or None.
        million_parameters: at inference, with the classes of the data set, or of COCO where it is any.
        published: as the row has it, "PQ 42.3; 42.2 of the PyTorch port", "VPQ 55.2; STQ 48.9"; "" where there is none.
    """

    name: str
    task: str | None
    data: str | None
    million_parameters: float | None = None
    published: str = ""

    @property
    def scores(self) -> list[Score]:
        """What was published, in parts; one without a metric has that of the one before it."""
        scores: list[Score] = []
        for text in self.published.split("; ") if self.published else []:
            first, _, rest = text.partition(" ")
            metric = first if first[0].isalpha() else scores[-1].metric
            value, _, condition = (rest if first == metric else text).partition(" ")
            scores.append(Score(metric, float(value), condition))
        return scores


def task_in_name(recipe: str) -> str | None:
    """The task that a recipe's name says by itself: by its ending, or because its data set has only one.

    >>> task_in_name("mask2former_r50_coco_instance"), task_in_name("segmenter_b_coco_lvis")
    ('instance', 'semantic')
    """
    words = recipe.split("_")
    named = next((task for task in ("instance", "semantic") if task in words), None)
    of_data = _TASK_OF_DATA.get(vocabulary_of(recipe) or "")
    if named and of_data and of_data.startswith("video "):
        return f"video {named}"
    return named or of_data


def list_cards() -> list[Card]:
    """Of all recipes by name, those of plugins among them."""
    return [card_of(name) for name in list_recipes()]


def card_of(recipe: str) -> Card:
    """
    Args:
        recipe: its name. One that no row is of, such as a plugin's, has what its name says.
    """
    row = read_rows().get(recipe)
    task, data = task_in_name(recipe), vocabulary_of(recipe)
    if row is None:
        return Card(recipe, task, data)
    return Card(recipe, row["task"] or task, row["data"] or data, float(row["million_parameters"]), row["published"])


@cache
def read_rows() -> Mapping[str, dict[str, str]]:
    """Name -> cells of ``cards.csv``."""
    with FILE.open(newline="", encoding="utf-8") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def chosen_cards(
    cards: list[Card],
    words: list[str],
    task: str | None = None,
    data: str | None = None,
    max_size: float | None = None,
) -> list[Card]:
    """
    Args:
        cards: in their order.
        words: each somewhere in a recipe's name, task or data set, in any case.
        task: this one alone.
        data: this data set alone.
        max_size: at most so many million parameters; recipes of unknown size are left out.

    Raises:
        UserError: no recipe has all of that.
    """
    chosen = [
        card
        for card in cards
        if all(word.lower() in " ".join((card.name, card.task or "", card.data or "")) for word in words)
        and (task is None or card.task == task)
        and (data is None or card.data == data)
        and (max_size is None or (card.million_parameters is not None and card.million_parameters <= max_size))
    ]
    if not chosen:
        raise UserError(_nothing(cards, words, task, data, max_size))
    return chosen


def _nothing(cards: list[Card], words: list[str], task: str | None, data: str | None, max_size: float | None) -> str:
    names = sorted({card.data for card in cards if card.data})
    if data is not None and data not in names:
        return f"--data {data}: no recipe is for it; there are {', '.join(names)}."
    wanted = [f"{' '.join(words)} in its name, task or data set"] if words else []
    wanted += [f"the task {task}"] if task else []
    wanted += [f"the data set {data}"] if data else []
    wanted += [f"at most {max_size:g} million parameters"] if max_size is not None else []
    return f"No recipe has {' and '.join(wanted)}: ask for less."
