"""Model outputs -> predictions. Pure functions; every threshold of the package lives here."""

from pantile.contracts.lazy_names import lazy_names

#: name -> the module that has it
_HOMES = {
    "CenterMergeConfig": "center_config",
    "MaskMergeConfig": "mask_config",
    "ade20k": "mask_config",
    "cityscapes": "mask_config",
    "coco": "mask_config",
    "max_deeplab": "mask_config",
    "merge_masks": "masks",
    "merge": "merging",
    "PanopticFCNMergeConfig": "panoptic_fcn_config",
    "QueryMergeConfig": "query_config",
    "MergeConfig": "registry",
    "SemanticMergeConfig": "semantic_config",
}

__all__ = [
    "CenterMergeConfig",
    "MaskMergeConfig",
    "MergeConfig",
    "PanopticFCNMergeConfig",
    "QueryMergeConfig",
    "SemanticMergeConfig",
    "ade20k",
    "cityscapes",
    "coco",
    "max_deeplab",
    "merge",
    "merge_masks",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
