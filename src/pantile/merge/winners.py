"""From the query that wins each pixel to segments: the last step of merging independent masks."""

from dataclasses import dataclass

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.query_config import QueryMergeConfig
from pantile.merge.segments import Canvas, PastedSegment


@dataclass(frozen=True)
class Winners:
    """Who wins which pixel. Candidates are numbered 0..C-1, C > 0, in the order of queries.

    Attributes:
        number: (H, W) int16: c + 1 where candidate c wins and the pixel lies in its mask, -c - 1 where it does not.
        mask_areas: (C,) int64, pixels in each mask.
        query: C entries.
        class_index: C entries.
        score: C entries, 0..1.
    """

    number: np.ndarray
    mask_areas: np.ndarray
    query: list[int]
    class_index: list[int]
    score: list[float]


def paint_winners(winners: Winners, taxonomy: Taxonomy, config: QueryMergeConfig) -> Canvas:
    """Numbers the candidates that win enough of their own masks; the others' pixels become void."""
    count = len(winners.class_index)
    counts = np.bincount(winners.number.reshape(-1).astype(np.int64) + count, minlength=2 * count + 1)
    won_inside = counts[count + 1 :]
    won = won_inside + counts[:count][::-1]
    own = winners.mask_areas
    accepted = (won > 0) & (own > 0) & (won / np.maximum(own, 1) >= config.overlap_threshold)
    if config.pixel_test:
        accepted &= won_inside > 0

    ids, segments = _number(winners, accepted, taxonomy)
    outside = np.zeros(count, np.int32) if config.pixel_test else ids
    id_of_winner = np.concatenate([outside[::-1], [0], ids]).astype(np.int32)
    return Canvas(id_of_winner[winners.number.astype(np.int32) + count], segments)


def _number(winners: Winners, accepted: np.ndarray, taxonomy: Taxonomy) -> tuple[np.ndarray, list[PastedSegment]]:
    """The id of each candidate, 0 if not accepted, one per thing query and per stuff class; and the segments."""
    ids = np.zeros(len(accepted), np.int32)
    segments: list[PastedSegment] = []
    id_of_stuff: dict[int, int] = {}
    for candidate in np.flatnonzero(accepted).tolist():
        class_index, score = winners.class_index[candidate], winners.score[candidate]
        segment_id = id_of_stuff.get(class_index)
        if segment_id is None:
            segments.append(PastedSegment(class_index, score, winners.query[candidate]))
            segment_id = len(segments)
            if not taxonomy.classes[class_index].is_thing:
                id_of_stuff[class_index] = segment_id
        elif score > segments[segment_id - 1].score:
            segments[segment_id - 1] = PastedSegment(class_index, score, winners.query[candidate])
        ids[candidate] = segment_id
    return ids, segments
