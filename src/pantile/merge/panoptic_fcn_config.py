"""How kernels found at positions become segments: thresholds, and the published settings as functions."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pantile.contracts.errors import UserError
from pantile.merge.searched import FRACTIONS, STUFF_AREAS, THING_AREAS, Searched


@dataclass
class PanopticFCNMergeConfig:
    """Settings of ``predict_panoptic_fcn``. The defaults are Panoptic FCN's for COCO.

    Attributes:
        kind: names this way of merging among the others.
        peak_threshold: 0..1. A position is a candidate for a thing when its score is greater.
        region_threshold: 0..1. A stuff class of a level takes part when the mean score of its region is greater.
        similarity_threshold: -1..1. A candidate joins an earlier one of the same class when the cosine of their
            kernels is at least this.
        mask_threshold: 0..1. A pixel is inside a thing where the mask's probability is greater.
        instance_threshold: 0..1. A thing is an instance when its score times the mean probability inside its mask is
            at least this.
        instances: at most so many instances per image, those of the highest scores.
        object_threshold: 0..1. An instance takes part in the panoptic map when its score is at least this.
        overlap_threshold: 0..1. It is left out when more than this share of its mask is taken by better ones.
        stuff_area_limit: pixels of the image; the segment of a stuff class with fewer becomes void.
        thing_area_limit: the same for each thing; the original has none.
    """

    SEARCHED: ClassVar[Searched] = {
        "peak_threshold": (0.02, 0.05, 0.1, 0.2, 0.3),
        "region_threshold": (0.02, 0.05, 0.1, 0.2, 0.3),
        "similarity_threshold": (0.7, 0.8, 0.9, 0.95, 0.97),
        "mask_threshold": (0.3, 0.4, 0.5, 0.6),
        "object_threshold": FRACTIONS,
        "overlap_threshold": FRACTIONS,
        "thing_area_limit": THING_AREAS,
        "stuff_area_limit": STUFF_AREAS,
    }

    kind: Literal["panoptic_fcn"] = "panoptic_fcn"
    peak_threshold: float = 0.05
    region_threshold: float = 0.05
    similarity_threshold: float = 0.9
    mask_threshold: float = 0.4
    instance_threshold: float = 0.05
    instances: int = 100
    object_threshold: float = 0.2
    overlap_threshold: float = 0.5
    stuff_area_limit: int = 4096
    thing_area_limit: int = 0

    def __post_init__(self) -> None:
        fractions = (
            "peak_threshold",
            "region_threshold",
            "mask_threshold",
            "instance_threshold",
            "object_threshold",
            "overlap_threshold",
        )
        for name in fractions:
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give a fraction from 0 to 1.")
        if not -1 <= self.similarity_threshold <= 1:
            raise UserError(f"merge.similarity_threshold is {self.similarity_threshold}: give a cosine from -1 to 1.")
        if self.instances < 1:
            raise UserError(f"merge.instances is {self.instances}: give a positive number.")
        for name in ("stuff_area_limit", "thing_area_limit"):
            if getattr(self, name) < 0:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give 0 or a number of pixels.")


def coco(fast: bool = False) -> PanopticFCNMergeConfig:
    """COCO; ``fast`` are the published FAST variants: the same weights, fewer candidates."""
    return PanopticFCNMergeConfig(peak_threshold=0.2, region_threshold=0.1) if fast else PanopticFCNMergeConfig()


def cityscapes() -> PanopticFCNMergeConfig:
    """Cityscapes, as the authors of Intra-Batch Supervision run it."""
    return PanopticFCNMergeConfig(
        peak_threshold=0.01,
        region_threshold=0.1,
        similarity_threshold=0.97,
        mask_threshold=0.5,
        instances=200,
        stuff_area_limit=2048,
    )


def mapillary() -> PanopticFCNMergeConfig:
    """Mapillary Vistas, as the authors of Intra-Batch Supervision run it."""
    return PanopticFCNMergeConfig(
        peak_threshold=0.2,
        region_threshold=0.1,
        similarity_threshold=0.95,
        mask_threshold=0.5,
        instances=200,
        stuff_area_limit=2048,
    )
