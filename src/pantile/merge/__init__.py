"""Model outputs -> predictions. Pure functions; every threshold of the package lives here."""

from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.mask_config import MaskMergeConfig, ade20k, cityscapes, coco, max_deeplab
from pantile.merge.masks import merge_masks
from pantile.merge.merging import merge
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig
from pantile.merge.query_config import QueryMergeConfig
from pantile.merge.registry import MergeConfig
from pantile.merge.semantic_config import SemanticMergeConfig

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
