"""How large the network of a recipe is on the data set in its name, as ``cards.csv`` has it."""

from collections.abc import Callable

from pantile.data.classes.vocabularies import taxonomy_of, vocabulary_of
from pantile.engine.run_cost import parameters_of
from pantile.recipes.registry import make_recipe


def things_of_recipe(name: str) -> list[bool]:
    """
    Args:
        name: of a recipe.

    Returns:
        Whether each class of the data set in the name is a thing; those of COCO where it names none.
    """
    return [c.is_thing for c in taxonomy_of(vocabulary_of(name) or "coco").classes]


def counting() -> Callable[[str], float]:
    """A function that gives the parameters of a recipe at inference, in millions with two decimals.

    It builds networks on the meta device, in up to seconds each, and equal ones once: many recipes differ only in how
    they train.
    """
    counted: dict[str, float] = {}

    def million_parameters(name: str) -> float:
        config, is_thing = make_recipe(name), things_of_recipe(name)
        network = repr((config.model, config.techniques, is_thing))
        if network not in counted:
            counted[network] = round(parameters_of(config, is_thing) / 1e6, 2)
        return counted[network]

    return million_parameters
