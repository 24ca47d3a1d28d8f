"""From a config to a model: one line per architecture."""

from collections.abc import Sequence

from torch import nn

from pantile.contracts.errors import UserError
from pantile.models.kmax import KMaXConfig, KMaXDeepLab
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig
from pantile.models.maskformer import MaskFormer, MaskFormerConfig
from pantile.models.panoptic_deeplab import PanopticDeepLab, PanopticDeepLabConfig
from pantile.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig

ModelConfig = KMaXConfig | PanopticDeepLabConfig | Mask2FormerConfig | MaskFormerConfig | PanopticFCNConfig

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "kmax": KMaXDeepLab,
    "mask2former": Mask2Former,
    "maskformer": MaskFormer,
    "panoptic_deeplab": PanopticDeepLab,
    "panoptic_fcn": PanopticFCN,
}


#: architectures with separate channels for things and for stuff
_READ_THING_FLAGS = {"panoptic_fcn"}


def create_model(config: ModelConfig, num_classes: int, is_thing: Sequence[bool] | None = None) -> nn.Module:
    """Builds the model that ``config.architecture`` names.

    Args:
        config: such as ``KMaXConfig``.
        num_classes: K of the taxonomy, without void and no-object.
        is_thing: per class; most models do not need it.

    Raises:
        UserError: unknown architecture, fields that do not fit together, or no ``is_thing`` for a model that has
            separate channels for things and stuff.
    """
    if config.architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UserError(f"model.architecture: there is no {config.architecture!r}; choose one of {known}.")
    if num_classes < 1:
        raise UserError(f"create_model needs at least one class, got num_classes={num_classes}.")
    if config.architecture not in _READ_THING_FLAGS:
        return ARCHITECTURES[config.architecture](config, num_classes)
    return ARCHITECTURES[config.architecture](config, num_classes, is_thing)
