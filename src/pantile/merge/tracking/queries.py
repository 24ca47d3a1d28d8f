"""Tracking by queries: a thing goes on the track whose query it resembles the most (MinVIS, arXiv 2208.02245, 3.2).

MinVIS matches all queries of one frame with all of the next by the cosine of their embeddings. Here only things that
were found are matched, with a track's mean over its last frames, and a track that is not seen is remembered for a
while: what comes back after it was hidden or outside finds its id by how it looks. What is compared is what the mask
head multiplies with the pixels (``MaskOutput.query_embed``), which every model with queries has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.tracking.tracker import TRACKERS, Frame, Track, Tracker, same_class


@TRACKERS.register("queries")
@dataclass
class QueryTracking:
    """
    Attributes:
        min_similarity: -1..1, the least cosine between a thing's query and the mean of its track.
        newest: 0..1, share of the newest frame in that mean; 1 is the last frame alone, as in MinVIS.
        memory: frames for which a track that is not seen is remembered.
    """

    min_similarity: float = 0.3
    newest: float = 0.5
    memory: int = 30

    def __post_init__(self) -> None:
        if not -1 <= self.min_similarity <= 1:
            raise UserError(f"The tracking's min_similarity is {self.min_similarity}: a cosine lies in -1..1.")
        if not 0 < self.newest <= 1:
            raise UserError(f"The tracking's newest is {self.newest}: give a share above 0, at most 1.")
        if self.memory < 0:
            raise UserError(f"The tracking's memory is {self.memory}: give 0 frames or more.")

    def make(self, taxonomy: Taxonomy) -> "QueryTracker":
        return QueryTracker(taxonomy, self)


@dataclass(frozen=True)
class _QueryTrack(Track):
    """``embed`` is (D,) of length 1."""

    embed: np.ndarray


class QueryTracker(Tracker):
    """See the module and ``QueryTracking``."""

    def __init__(self, taxonomy: Taxonomy, config: QueryTracking | None = None) -> None:
        self.config = config or QueryTracking()
        super().__init__(taxonomy, self.config.memory)

    def scores(self, frame: Frame) -> np.ndarray:
        cosine = _unit(_embed(frame)) @ np.stack([track.embed for track in self.tracks]).T
        alike = same_class(frame.things, self.tracks) & (cosine >= self.config.min_similarity)
        return np.where(alike, cosine + 1.001, 0.0)  # above 0 for any cosine

    def begin(self, track_id: int, frame: Frame, position: int) -> Track:
        return _QueryTrack(track_id, frame.things[position].class_index, 0, _unit(_embed(frame)[position]))

    def go_on(self, track: Track, frame: Frame, position: int) -> Track:
        newest = _unit(_embed(frame)[position])
        share = self.config.newest
        return replace(track, age=0, embed=_unit(share * newest + (1 - share) * track.embed))

    def track_arrays(self) -> dict[str, np.ndarray]:
        return {"embed": np.stack([track.embed for track in self.tracks])}

    def track_of(self, known: Track, number: int, arrays: Mapping[str, np.ndarray]) -> Track:
        return _QueryTrack(known.id, known.class_index, known.age, arrays["embed"][number])


def _embed(frame: Frame) -> np.ndarray:
    if frame.embed is None:
        raise UserError(
            "Tracking by queries needs a model whose segments are those of queries, and no tiles: track by overlap."
        )
    return frame.embed


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
