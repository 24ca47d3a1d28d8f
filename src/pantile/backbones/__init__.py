"""Feature extractors behind one interface: timm's, and what timm does not have."""

from pantile.backbones.axial_resnet import AxialResNet, AxialResNetConfig, named_axial_resnet
from pantile.backbones.interface import Backbone
from pantile.backbones.registry import create_backbone, tagged, weights_name
from pantile.backbones.swidernet import SWideRNet, SWideRNetClassifier, SWideRNetConfig, wr41

__all__ = [
    "AxialResNet",
    "AxialResNetConfig",
    "Backbone",
    "SWideRNet",
    "SWideRNetClassifier",
    "SWideRNetConfig",
    "create_backbone",
    "named_axial_resnet",
    "tagged",
    "weights_name",
    "wr41",
]
