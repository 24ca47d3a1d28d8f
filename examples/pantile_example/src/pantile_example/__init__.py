"""Importing this package registers its parts; Pantile does so by the entry point in pyproject.toml."""

from pantile_example import color_masks, counting, label_smoothing, tiny_queries, tiny_queries_recipe

__all__ = ["color_masks", "counting", "label_smoothing", "tiny_queries", "tiny_queries_recipe"]
