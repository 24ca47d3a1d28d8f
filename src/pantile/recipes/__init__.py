"""Recipes: Python functions that return a complete RunConfig, named after the rows of the papers."""

from pantile.recipes.registry import list_recipes, make_recipe

__all__ = ["list_recipes", "make_recipe"]
