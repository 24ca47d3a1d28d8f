"""Architectures: tensors in, typed outputs out. ``create_model`` builds one from its config."""

from pantile.models.fold import fold_batch_norms
from pantile.models.kmax import KMaXConfig, KMaXDeepLab, kmax_nano_config
from pantile.models.registry import ARCHITECTURES, ModelConfig, create_model

__all__ = [
    "ARCHITECTURES",
    "KMaXConfig",
    "KMaXDeepLab",
    "ModelConfig",
    "create_model",
    "fold_batch_norms",
    "kmax_nano_config",
]
