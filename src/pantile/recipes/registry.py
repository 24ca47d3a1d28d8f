"""Finding a recipe by its name.

Names are listed without torch: modules of recipes import the rooms of models, losses and techniques, whose names load
on first use, and make their configs when a recipe is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pantile.contracts.registry import Registry

if TYPE_CHECKING:
    from pantile.engine.config import RunConfig

#: functions without arguments that return a fresh config
ALL_RECIPES: Registry[Callable[[], RunConfig]] = Registry(
    "recipe", "pantile.recipes", "`pantile models list` shows them."
)


def list_recipes() -> list[str]:
    """Names of all recipes, those of plugins among them."""
    return sorted(ALL_RECIPES)


def make_recipe(name: str) -> RunConfig:
    """A fresh config.

    Raises:
        UserError: unknown name; suggests the nearest.
    """
    config = ALL_RECIPES.find(name)()
    config.recipe = name
    return config


def family_title(name: str) -> str:
    """What the docstring of a recipe's module says up to its first colon, or else the module's name.

    >>> family_title("remax_b_coco")
    'ReMaX (Sun et al., NeurIPS 2023)'
    """
    module = sys.modules[ALL_RECIPES.home(name)]
    first = (module.__doc__ or module.__name__).partition("\n\n")[0]
    return " ".join(first.partition(": ")[0].split()).strip("`.")
