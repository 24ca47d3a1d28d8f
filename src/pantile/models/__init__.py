"""Architectures: tensors in, typed outputs out. ``create_model`` builds one from its config."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "base": ("ARCHITECTURES", "ModelConfig", "PanopticModel"),
        "cmt_config": ("CMTDeepLabConfig", "cmt_nano_config"),
        "cmt_deeplab": ("CMTDeepLab",),
        "deeplabv3": ("DeepLabV3", "DeepLabV3Config", "deeplabv3_nano_config"),
        "eomt": ("EoMT", "EoMTConfig", "eomt_nano_config"),
        "fold": ("fold_batch_norms",),
        "kmax": ("KMaXConfig", "KMaXDeepLab", "kmax_nano_config"),
        "mask2former": ("Mask2Former", "Mask2FormerConfig", "mask2former_nano_config"),
        "mask2former_video": ("VideoMask2Former", "VideoMask2FormerConfig", "mask2former_video_nano_config"),
        "maskformer": ("MaskFormer", "MaskFormerConfig", "maskformer_nano_config"),
        "max_deeplab": ("MaXDeepLab", "MaXDeepLabConfig", "max_deeplab_l_config", "max_nano_config"),
        "panoptic_deeplab": (
            "PanopticDeepLab",
            "PanopticDeepLabConfig",
            "SWideRNetConfig",
            "panoptic_deeplab_nano_config",
        ),
        "panoptic_fcn": ("PanopticFCN", "PanopticFCNConfig", "panoptic_fcn_nano_config"),
        "query2label": ("Query2Label", "Query2LabelConfig", "query2label_nano_config"),
        "registry": ("create_model",),
        "segmenter": ("Segmenter", "SegmenterConfig", "segmenter_nano_config"),
        "semask": ("SeMask", "SeMaskConfig", "semask_nano_config"),
        "upernet": ("UPerNet", "UPerNetConfig", "upernet_nano_config"),
        "videomt": ("VidEoMT", "VidEoMTConfig", "videomt_nano_config"),
        "vit_adapter": ("ViTAdapterConfig", "ViTAdapterMask2Former", "vit_adapter_nano_config"),
    },
)
