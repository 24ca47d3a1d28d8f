"""Feature extractors: timm's, behind one interface."""

from pantile.backbones.timm_bridge import Backbone, create_backbone

__all__ = ["Backbone", "create_backbone"]
