"""Feature extractors behind one interface: timm's, and what timm does not have."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "axial_resnet": ("AxialResNet", "AxialResNetConfig", "named_axial_resnet"),
        "interface": ("Backbone",),
        "reachable_weights": ("can_have_public_weights",),
        "registry": ("create_backbone", "image_statistics", "tagged", "weights_name"),
        "swidernet": ("SWideRNet", "SWideRNetClassifier", "SWideRNetConfig", "wr41"),
    },
)
