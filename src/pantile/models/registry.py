"""From a config to a model: one line per architecture."""

from torch import nn

from pantile.contracts.errors import UserError
from pantile.models.kmax import KMaXConfig, KMaXDeepLab
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig
from pantile.models.maskformer import MaskFormer, MaskFormerConfig
from pantile.models.panoptic_deeplab import PanopticDeepLab, PanopticDeepLabConfig

ModelConfig = KMaXConfig | PanopticDeepLabConfig | Mask2FormerConfig | MaskFormerConfig

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "kmax": KMaXDeepLab,
    "mask2former": Mask2Former,
    "maskformer": MaskFormer,
    "panoptic_deeplab": PanopticDeepLab,
}


def create_model(config: ModelConfig, num_classes: int) -> nn.Module:
    """Builds the model that ``config.architecture`` names.

    Args:
        config: such as ``KMaXConfig``.
        num_classes: K of the taxonomy, without void and no-object.

    Raises:
        UserError: unknown architecture, or fields that do not fit together.
    """
    if config.architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UserError(f"model.architecture: there is no {config.architecture!r}; choose one of {known}.")
    if num_classes < 1:
        raise UserError(f"create_model needs at least one class, got num_classes={num_classes}.")
    return ARCHITECTURES[config.architecture](config, num_classes)
