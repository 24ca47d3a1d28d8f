"""From pasted ids to a panoptic map whose table and pixels agree."""

from dataclasses import dataclass, replace

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.mask_config import MaskMergeConfig


@dataclass(frozen=True)
class PastedSegment:
    """A segment on the canvas; its id is its position in the list plus one.

    Attributes:
        query: the best of the queries whose segment it is; -1 where segments are not those of queries.
    """

    class_index: int
    score: float
    query: int = -1


@dataclass(frozen=True)
class Canvas:
    """Ids (H, W) int32 with 0 for void, and the segments in the order of pasting."""

    ids: np.ndarray
    segments: list[PastedSegment]

    @classmethod
    def empty(cls, size: tuple[int, int]) -> "Canvas":
        return cls(np.zeros(size, np.int32), [])

    def without_small(self, taxonomy: Taxonomy, config: MaskMergeConfig) -> "Canvas":
        """Segments with fewer pixels than the area limit of their kind become void."""
        limits = np.array(
            [
                config.thing_area_limit if taxonomy.classes[s.class_index].is_thing else config.stuff_area_limit
                for s in self.segments
            ],
            dtype=np.int64,
        )
        return self._keep(self._areas() >= limits)

    def to_map(self) -> PanopticMap:
        """Segments without a pixel leave the table; ids become 1..S in the order of pasting."""
        return self.to_prediction().panoptic

    def to_prediction(self) -> Prediction:
        """The same map, and the query of each segment where there are queries."""
        canvas = self._keep(self._areas() > 0)
        rows = (Segment(number + 1, s.class_index, score=s.score) for number, s in enumerate(canvas.segments))
        queries = np.array([s.query for s in canvas.segments], dtype=np.int64)
        panoptic = PanopticMap(canvas.ids, tuple(rows))
        return Prediction(panoptic, queries=None if (queries < 0).any() else queries)

    def _areas(self) -> np.ndarray:
        return np.bincount(self.ids.reshape(-1), minlength=len(self.segments) + 1)[1:]

    def _keep(self, kept: np.ndarray) -> "Canvas":
        if kept.all():
            return self
        new_ids = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
        return replace(self, ids=new_ids[self.ids], segments=[s for s, k in zip(self.segments, kept, strict=True) if k])
