"""Training techniques: what composes with any model that gives the tensors they need."""

from pantile.techniques.base import Technique, build_techniques
from pantile.techniques.config import TechniquesConfig
from pantile.techniques.reclass import ReClass, ReClassConfig
from pantile.techniques.remask import ReMask, ReMaskConfig

__all__ = [
    "ReClass",
    "ReClassConfig",
    "ReMask",
    "ReMaskConfig",
    "Technique",
    "TechniquesConfig",
    "build_techniques",
]
