"""Model outputs -> predictions. Pure functions; every threshold of the package lives here."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "center_config": ("CenterMergeConfig",),
        "mask_config": ("MaskMergeConfig", "ade20k", "cityscapes", "coco", "max_deeplab"),
        "masks": ("merge_masks",),
        "merging": ("merge",),
        "panoptic_fcn_config": ("PanopticFCNMergeConfig",),
        "presence": ("PresenceMergeConfig",),
        "query_config": ("QueryMergeConfig",),
        "query_votes_config": ("QueryVotesConfig",),
        "registry": ("MergeConfig",),
        "semantic_config": ("SemanticMergeConfig",),
    },
)
