"""Training techniques: what composes with any model that gives the tensors they need."""

from pantile.techniques.base import TECHNIQUES, Technique, build_techniques
from pantile.techniques.config import TechniquesConfig
from pantile.techniques.encnet import EncNet, EncNetConfig
from pantile.techniques.essnet import ESSNet, ESSNetConfig
from pantile.techniques.intra_batch import IntraBatch, IntraBatchConfig
from pantile.techniques.rankseg import RankSeg, RankSegConfig
from pantile.techniques.reclass import ReClass, ReClassConfig
from pantile.techniques.remask import ReMask, ReMaskConfig
from pantile.techniques.training_losses import losses_of, losses_with

__all__ = [
    "TECHNIQUES",
    "ESSNet",
    "ESSNetConfig",
    "EncNet",
    "EncNetConfig",
    "IntraBatch",
    "IntraBatchConfig",
    "RankSeg",
    "RankSegConfig",
    "ReClass",
    "ReClassConfig",
    "ReMask",
    "ReMaskConfig",
    "Technique",
    "TechniquesConfig",
    "build_techniques",
    "losses_of",
    "losses_with",
]
