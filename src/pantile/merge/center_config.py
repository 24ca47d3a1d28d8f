"""How centres, offsets and per-pixel classes become segments: thresholds, and the published settings as functions."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pantile.contracts.errors import UserError
from pantile.merge.searched import STUFF_AREAS, THING_AREAS, Searched


@dataclass
class CenterMergeConfig:
    """Settings of ``predict_centers``. The defaults are deeplab2's Panoptic-DeepLab for COCO at 641.

    Attributes:
        kind: always "centers".
        center_threshold: 0..1. Heat up to and including this is no centre.
        nms_kernel: odd, pixels. A centre is the largest heat of the square of this side around it.
        max_centers: where more remain, those strictly above the score of this rank are kept.
        label_divisor: dataset formats that code class * label_divisor + instance hold label_divisor - 1 instances of
            a class (0 is stuff); of a class with more in one image, those with the highest scores are kept.
        stuff_area_limit: pixels; the segment of a stuff class with fewer becomes void. Counted, as the kernel is
            measured, on the network's padded input with "ids_last", at the original size with "logits_first".
        thing_area_limit: pixels; the same for each thing.
        resize_order: "ids_last" decides on the padded input, then crops and resizes ids to the nearest pixel
            (deeplab2); "logits_first" resizes the maps to the original size and decides there (detectron2).
        uncentred_things: thing pixels of an image without a centre become "void" (deeplab2's Python form) or
            "one_segment" (its compiled form), scored with the largest heat there is.
        chunk_rows: rows of the result whose class probabilities exist at a time.
    """

    SEARCHED: ClassVar[Searched] = {
        "center_threshold": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
        "nms_kernel": (3, 7, 13, 19, 27, 41, 61),
        "thing_area_limit": THING_AREAS,
        "stuff_area_limit": STUFF_AREAS,
    }

    kind: Literal["centers"] = "centers"
    center_threshold: float = 0.1
    nms_kernel: int = 41
    max_centers: int = 400
    label_divisor: int = 256
    stuff_area_limit: int = 4096
    thing_area_limit: int = 0
    resize_order: Literal["ids_last", "logits_first"] = "ids_last"
    uncentred_things: Literal["void", "one_segment"] = "void"
    chunk_rows: int = 128

    def __post_init__(self) -> None:
        if not 0 <= self.center_threshold <= 1:
            raise UserError(f"merge.center_threshold is {self.center_threshold}: give a heat from 0 to 1.")
        if self.nms_kernel < 1 or self.nms_kernel % 2 == 0:
            raise UserError(f"merge.nms_kernel is {self.nms_kernel}: give an odd positive number of pixels.")
        for name, least in (("max_centers", 1), ("label_divisor", 2), ("chunk_rows", 1)):
            if getattr(self, name) < least:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give at least {least}.")
        for name in ("stuff_area_limit", "thing_area_limit"):
            if getattr(self, name) < 0:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give a number of pixels from 0 on.")
        for name, known in (
            ("resize_order", ("ids_last", "logits_first")),
            ("uncentred_things", ("void", "one_segment")),
        ):
            if getattr(self, name) not in known:
                raise UserError(f"merge.{name} is {getattr(self, name)!r}: give {known[0]!r} or {known[1]!r}.")


def center_coco() -> CenterMergeConfig:
    """deeplab2 on COCO at 641: kernel 41, 400 centres. detectron2 keeps 200 and decides at the original size."""
    return CenterMergeConfig()


def center_cityscapes() -> CenterMergeConfig:
    """deeplab2's SWideRNet on Cityscapes at 1025 x 2049; other Panoptic-DeepLabs there take kernel 7."""
    return CenterMergeConfig(nms_kernel=13, label_divisor=1000, stuff_area_limit=2048)


def center_ade20k() -> CenterMergeConfig:
    """SWideRNet on ADE20K at 641. The kernel is not published; COCO's, for the same input size."""
    return CenterMergeConfig(label_divisor=1000)


def center_mapillary() -> CenterMergeConfig:
    """SWideRNet on Mapillary Vistas at 1025 x 2049. Kernel and divisor are not published; those of Cityscapes."""
    return CenterMergeConfig(nms_kernel=13, label_divisor=1000)
