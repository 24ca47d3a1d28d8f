"""How a pixel classifier's logits become a class map and its segments."""

from dataclasses import dataclass
from typing import Literal

from pantile.contracts.errors import UserError


@dataclass
class SemanticMergeConfig:
    """Settings of ``predict_classes``. The defaults are the original Segmenter's, and mmseg's.

    Attributes:
        kind: always "semantic".
        resize: what is brought to the image's size: "logits", whose softmax is taken there, or "probabilities".
        align_corners: while resizing.
        stuff_area_limit: pixels of the image; the segment of a stuff class with fewer becomes void in the panoptic map.
        thing_area_limit: the same for a thing class, all of whose pixels are one segment.
        chunk_rows: rows of the result whose class probabilities exist at a time.
    """

    kind: Literal["semantic"] = "semantic"
    resize: Literal["logits", "probabilities"] = "logits"
    align_corners: bool = False
    stuff_area_limit: int = 0
    thing_area_limit: int = 0
    chunk_rows: int = 32

    def __post_init__(self) -> None:
        if self.resize not in ("logits", "probabilities"):
            raise UserError(f"merge.resize is {self.resize!r}: give 'logits' or 'probabilities'.")
        if self.chunk_rows < 1:
            raise UserError(f"merge.chunk_rows is {self.chunk_rows}: give at least 1.")
        for name in ("stuff_area_limit", "thing_area_limit"):
            if getattr(self, name) < 0:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give a number of pixels from 0 on.")
