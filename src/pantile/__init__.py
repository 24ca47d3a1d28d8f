"""Pantile: panoptic segmentation in PyTorch.

The names below load on first use, so that ``import pantile`` and ``pantile --help`` are instant.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "ClassInfo": "pantile.contracts.taxonomy",
    "PanopticMap": "pantile.contracts.panoptic",
    "Segment": "pantile.contracts.panoptic",
    "Taxonomy": "pantile.contracts.taxonomy",
    "UserError": "pantile.contracts.errors",
    "MaskOutput": "pantile.contracts.outputs",
    "PanopticTargets": "pantile.contracts.targets",
    "Placement": "pantile.contracts.placement",
    "CocoPanoptic": "pantile.data",
    "Scenes": "pantile.data",
    "open_dataset": "pantile.data",
    "create_criterion": "pantile.losses.registry",
    "build_techniques": "pantile.techniques",
    "losses_with": "pantile.techniques",
    "PanopticQuality": "pantile.metrics",
    "create_model": "pantile.recipes",
    "check_model": "pantile.model_check",
    "Predictor": "pantile.predict",
    "PanopticResult": "pantile.predict",
    "load": "pantile.predict",
    "make_recipe": "pantile.recipes",
    "list_recipes": "pantile.recipes",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pantile' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
