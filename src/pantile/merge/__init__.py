"""Model outputs -> panoptic maps. Pure functions; every threshold of the package lives here."""

from pantile.merge.config import MergeConfig, ade20k, cityscapes, coco, max_deeplab
from pantile.merge.merging import merge

__all__ = ["MergeConfig", "ade20k", "cityscapes", "coco", "max_deeplab", "merge"]
