"""Trained networks at work: from an image to its prediction, by views, tiles and sliding windows."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {"windows": ("Windows",)})
