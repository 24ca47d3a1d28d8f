"""Finding a recipe by its name."""

from collections.abc import Callable

from pantile.contracts.registry import Registry
from pantile.engine.config import RunConfig

#: functions without arguments that return a fresh config
RECIPES: Registry[Callable[[], RunConfig]] = Registry("recipe", "pantile.recipes", "`pantile models list` shows them.")


def list_recipes() -> list[str]:
    return sorted(RECIPES)


def make_recipe(name: str) -> RunConfig:
    """A fresh config.

    Raises:
        UserError: unknown name; suggests the nearest.
    """
    config = RECIPES.find(name)()
    config.recipe = name
    return config
