"""How queries and their masks become segments: thresholds, and the published settings as functions."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pantile.contracts.errors import UserError
from pantile.merge.searched import FRACTIONS, STUFF_AREAS, THING_AREAS, Searched

Behaviour = Literal["pytorch", "tensorflow"]


@dataclass
class MaskMergeConfig:
    """Settings of ``predict_masks``. The defaults are kMaX-DeepLab's for COCO, as its PyTorch port runs them.

    Attributes:
        kind: "mask_wise" pastes whole masks in the order of their scores (CMT-DeepLab, kMaX-DeepLab);
            "pixel_wise" gives each pixel to its most likely query (MaX-DeepLab).
        pixel_confidence: 0..1. A query claims a pixel when its probability there exceeds this. Below 1/3 more than
            two queries can claim a pixel and memory for contested pixels grows as 1 / pixel_confidence.
        thing_class_threshold: 0..1, least class probability of a thing query.
        stuff_class_threshold: 0..1, least class probability of a stuff query.
        strict: a class probability equal to its threshold fails (the PyTorch port) or passes (deeplab2).
        overlap: 0..1. A mask is pasted when more than this share of its pixels is still free. Mask-wise only.
        class_exponent: alpha of the order, class score**alpha * mask score**beta. Mask-wise only.
        mask_exponent: beta of the same.
        thing_area_limit: pixels; smaller thing segments become void. Counted on the network's padded input
            with "ids_last", at the original size with "logits_first".
        stuff_area_limit: pixels; the same for the one segment of a stuff class.
        resize_order: "logits_first" resizes the logits to the original size and decides there (the PyTorch port);
            "ids_last" decides on the padded input, with mask scores from the logits' own grid, then crops and
            resizes the ids to the nearest pixel (deeplab2).
        chunk_rows: rows of the output that are worked on at a time; memory is proportional to it.
        instances: at most so many instances per image, for average precision.
    """

    SEARCHED: ClassVar[Searched] = {
        "thing_class_threshold": FRACTIONS,
        "stuff_class_threshold": FRACTIONS,
        "pixel_confidence": (0.35, 0.4, 0.5, 0.6, 0.7),
        "overlap": FRACTIONS,
        "thing_area_limit": THING_AREAS,
        "stuff_area_limit": STUFF_AREAS,
    }

    kind: Literal["mask_wise", "pixel_wise"] = "mask_wise"
    pixel_confidence: float = 0.4
    thing_class_threshold: float = 0.7
    stuff_class_threshold: float = 0.5
    strict: bool = True
    overlap: float = 0.8
    class_exponent: float = 1.0
    mask_exponent: float = 1.0
    thing_area_limit: int = 0
    stuff_area_limit: int = 0
    resize_order: Literal["logits_first", "ids_last"] = "logits_first"
    chunk_rows: int = 32
    instances: int = 100

    def __post_init__(self) -> None:
        for name in ("pixel_confidence", "thing_class_threshold", "stuff_class_threshold", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give a fraction from 0 to 1.")
        if self.chunk_rows < 1:
            raise UserError(f"merge.chunk_rows is {self.chunk_rows}: give a positive number of rows.")
        if self.instances < 1:
            raise UserError(f"merge.instances is {self.instances}: give a positive number.")


def coco(behaviour: Behaviour = "pytorch") -> MaskMergeConfig:
    """kMaX-DeepLab on COCO at 641 or 1281; deeplab2's area limits are stated for 1281."""
    return _as_behaviour(MaskMergeConfig(thing_area_limit=400, stuff_area_limit=6400), behaviour)


def cityscapes(behaviour: Behaviour = "pytorch") -> MaskMergeConfig:
    """kMaX-DeepLab on Cityscapes at 1025 x 2049: masks are ordered by class score alone."""
    config = MaskMergeConfig(
        thing_class_threshold=0.5,
        stuff_class_threshold=0.3,
        overlap=0.9,
        mask_exponent=0.0,
        thing_area_limit=256,
        stuff_area_limit=2048,
    )
    return _as_behaviour(config, behaviour)


def ade20k(behaviour: Behaviour = "pytorch") -> MaskMergeConfig:
    """kMaX-DeepLab on ADE20K at 641 or 1281; no area limits."""
    return _as_behaviour(MaskMergeConfig(thing_class_threshold=0.4, stuff_class_threshold=0.4), behaviour)


def max_deeplab(input_size: Literal[641, 1025] = 641) -> MaskMergeConfig:
    """MaX-DeepLab on COCO (deeplab2): pixel-wise, with area limits for its two input sizes."""
    thing_area, stuff_area = {641: (100, 1600), 1025: (256, 4096)}[input_size]
    config = MaskMergeConfig(
        kind="pixel_wise",
        thing_class_threshold=0.7,
        stuff_class_threshold=0.7,
        thing_area_limit=thing_area,
        stuff_area_limit=stuff_area,
    )
    return _as_behaviour(config, "tensorflow")


def _as_behaviour(config: MaskMergeConfig, behaviour: Behaviour) -> MaskMergeConfig:
    """deeplab2 keeps class scores equal to the threshold, decides on the input grid and limits areas; the port not."""
    if behaviour == "tensorflow":
        return replace(config, strict=False, resize_order="ids_last")
    return replace(config, strict=True, resize_order="logits_first", thing_area_limit=0, stuff_area_limit=0)
