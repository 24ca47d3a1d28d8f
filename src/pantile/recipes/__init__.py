"""Recipes: Python functions that return a complete RunConfig, named after the rows of the papers.

What the papers publish of them stands in ``cards.csv``.
"""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "model_by_name": ("create_model",),
        "registry": ("list_recipes", "make_recipe"),
    },
)
