"""Architectures: tensors in, typed outputs out. ``create_model`` builds one from its config."""

from pantile.backbones import SWideRNetConfig
from pantile.models.base import ARCHITECTURES, ModelConfig, PanopticModel
from pantile.models.cmt_config import CMTDeepLabConfig, cmt_nano_config
from pantile.models.cmt_deeplab import CMTDeepLab
from pantile.models.fold import fold_batch_norms
from pantile.models.kmax import KMaXConfig, KMaXDeepLab, kmax_nano_config
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig, mask2former_nano_config
from pantile.models.maskformer import MaskFormer, MaskFormerConfig, maskformer_nano_config
from pantile.models.max_deeplab import MaXDeepLab, MaXDeepLabConfig, max_deeplab_l_config, max_nano_config
from pantile.models.panoptic_deeplab import PanopticDeepLab, PanopticDeepLabConfig, panoptic_deeplab_nano_config
from pantile.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig, panoptic_fcn_nano_config
from pantile.models.registry import create_model

__all__ = [
    "ARCHITECTURES",
    "CMTDeepLab",
    "CMTDeepLabConfig",
    "KMaXConfig",
    "KMaXDeepLab",
    "MaXDeepLab",
    "MaXDeepLabConfig",
    "Mask2Former",
    "Mask2FormerConfig",
    "MaskFormer",
    "MaskFormerConfig",
    "ModelConfig",
    "PanopticDeepLab",
    "PanopticDeepLabConfig",
    "PanopticFCN",
    "PanopticFCNConfig",
    "PanopticModel",
    "SWideRNetConfig",
    "cmt_nano_config",
    "create_model",
    "fold_batch_norms",
    "kmax_nano_config",
    "mask2former_nano_config",
    "maskformer_nano_config",
    "max_deeplab_l_config",
    "max_nano_config",
    "panoptic_deeplab_nano_config",
    "panoptic_fcn_nano_config",
]
