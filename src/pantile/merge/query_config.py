"""How queries with independent masks become predictions: thresholds, and the published settings as functions."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pantile.contracts.errors import UserError
from pantile.merge.searched import FRACTIONS, Searched


@dataclass
class QueryMergeConfig:
    """Settings of ``predict_queries``. The defaults are Mask2Former's for COCO, ADE20K and Cityscapes.

    Attributes:
        kind: names this way of merging among the others.
        object_threshold: 0..1. A query takes part in the panoptic map when its best class is not no-object and has a
            greater probability than this.
        overlap_threshold: 0..1. A query becomes a segment when it wins at least this share of its own mask.
        pixel_test: a pixel that a query wins is also required to lie in its mask (Mask2Former); False gives a segment
            everything that it wins (MaskFormer).
        instances: at most so many instances per image.
        chunk_rows: rows of the output that are worked on at a time; memory is proportional to it.
    """

    SEARCHED: ClassVar[Searched] = {"object_threshold": FRACTIONS, "overlap_threshold": FRACTIONS}

    kind: Literal["query_argmax"] = "query_argmax"
    object_threshold: float = 0.8
    overlap_threshold: float = 0.8
    pixel_test: bool = True
    instances: int = 100
    chunk_rows: int = 32

    def __post_init__(self) -> None:
        for name in ("object_threshold", "overlap_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give a fraction from 0 to 1.")
        for name in ("instances", "chunk_rows"):
            if getattr(self, name) < 1:
                raise UserError(f"merge.{name} is {getattr(self, name)}: give a positive number.")


def mask2former(dataset: Literal["coco", "ade20k", "cityscapes", "mapillary"] = "coco") -> QueryMergeConfig:
    """Mask2Former; Mapillary Vistas keeps every query whose best class is not no-object."""
    return QueryMergeConfig(object_threshold=0.0 if dataset == "mapillary" else 0.8)


def maskformer(dataset: Literal["coco", "ade20k"] = "coco") -> QueryMergeConfig:
    """MaskFormer, which had no test of single pixels."""
    return QueryMergeConfig(object_threshold=0.7 if dataset == "ade20k" else 0.8, pixel_test=False)
