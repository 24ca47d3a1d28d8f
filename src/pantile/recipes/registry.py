"""Finding a recipe by its name."""

import difflib
from collections.abc import Callable

from pantile.contracts.errors import UserError
from pantile.engine.config import RunConfig
from pantile.recipes import kmax, mask2former, maskformer, panoptic_deeplab, panoptic_fcn, remax

RECIPES: dict[str, Callable[[], RunConfig]] = (
    kmax.RECIPES
    | remax.RECIPES
    | panoptic_deeplab.RECIPES
    | mask2former.RECIPES
    | maskformer.RECIPES
    | panoptic_fcn.RECIPES
)


def list_recipes() -> list[str]:
    return sorted(RECIPES)


def make_recipe(name: str) -> RunConfig:
    """A fresh config.

    Raises:
        UserError: unknown name; suggests the nearest.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`pantile models list` shows them."
        raise UserError(f"There is no recipe {name!r}; {hint}")
    config = RECIPES[name]()
    config.recipe = name
    return config
