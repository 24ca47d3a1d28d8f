"""Scoring files that anybody wrote: every label format that is read, worker processes, and all numbers at once."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "result": ("Score",),
        "run": ("Job", "score", "usable_cores"),
        "sources": ("CocoMaps", "LabelPngs", "MapSource", "open_predictions", "open_truth"),
    },
)
