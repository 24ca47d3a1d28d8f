"""Architectures: tensors in, typed outputs out. ``create_model`` builds one from its config."""

from pantile.backbones import SWideRNetConfig
from pantile.models.base import ARCHITECTURES, ModelConfig, PanopticModel
from pantile.models.cmt_config import CMTDeepLabConfig, cmt_nano_config
from pantile.models.cmt_deeplab import CMTDeepLab
from pantile.models.deeplabv3 import DeepLabV3, DeepLabV3Config, deeplabv3_nano_config
from pantile.models.eomt import EoMT, EoMTConfig, eomt_nano_config
from pantile.models.fold import fold_batch_norms
from pantile.models.kmax import KMaXConfig, KMaXDeepLab, kmax_nano_config
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig, mask2former_nano_config
from pantile.models.maskformer import MaskFormer, MaskFormerConfig, maskformer_nano_config
from pantile.models.max_deeplab import MaXDeepLab, MaXDeepLabConfig, max_deeplab_l_config, max_nano_config
from pantile.models.panoptic_deeplab import PanopticDeepLab, PanopticDeepLabConfig, panoptic_deeplab_nano_config
from pantile.models.panoptic_fcn import PanopticFCN, PanopticFCNConfig, panoptic_fcn_nano_config
from pantile.models.query2label import Query2Label, Query2LabelConfig, query2label_nano_config
from pantile.models.registry import create_model
from pantile.models.segmenter import Segmenter, SegmenterConfig, segmenter_nano_config
from pantile.models.semask import SeMask, SeMaskConfig, semask_nano_config
from pantile.models.upernet import UPerNet, UPerNetConfig, upernet_nano_config
from pantile.models.vit_adapter import ViTAdapterConfig, ViTAdapterMask2Former, vit_adapter_nano_config

__all__ = [
    "ARCHITECTURES",
    "CMTDeepLab",
    "CMTDeepLabConfig",
    "DeepLabV3",
    "DeepLabV3Config",
    "EoMT",
    "EoMTConfig",
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
    "Query2Label",
    "Query2LabelConfig",
    "SWideRNetConfig",
    "SeMask",
    "SeMaskConfig",
    "Segmenter",
    "SegmenterConfig",
    "UPerNet",
    "UPerNetConfig",
    "ViTAdapterConfig",
    "ViTAdapterMask2Former",
    "cmt_nano_config",
    "create_model",
    "deeplabv3_nano_config",
    "eomt_nano_config",
    "fold_batch_norms",
    "kmax_nano_config",
    "mask2former_nano_config",
    "maskformer_nano_config",
    "max_deeplab_l_config",
    "max_nano_config",
    "panoptic_deeplab_nano_config",
    "panoptic_fcn_nano_config",
    "query2label_nano_config",
    "segmenter_nano_config",
    "semask_nano_config",
    "upernet_nano_config",
    "vit_adapter_nano_config",
]
