"""Recipes: Python functions that return a complete RunConfig, named after the rows of the papers."""

from pantile.recipes.model_by_name import create_model
from pantile.recipes.registry import list_recipes, make_recipe

__all__ = ["create_model", "list_recipes", "make_recipe"]
