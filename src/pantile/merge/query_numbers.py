"""Numbers of queries that own pixels: one per thing query and per stuff class."""

import numpy as np

from pantile.merge.query_scores import QueryScores
from pantile.merge.segments import Canvas, PastedSegment


def number_queries(candidates: np.ndarray, scores: QueryScores) -> tuple[np.ndarray, list[int], list[int]]:
    """The id of each candidate, from 1 in the order of queries, one per thing query and per stuff class; the class of
    each id and its first query."""
    ids, classes, queries, id_of_stuff = [], [], [], {}
    for query in candidates.tolist():
        class_index = int(scores.class_index[query])
        segment_id = id_of_stuff.get(class_index)
        if segment_id is None:
            classes.append(class_index)
            queries.append(query)
            segment_id = len(classes)
            if not scores.is_thing[query]:
                id_of_stuff[class_index] = segment_id
        ids.append(segment_id)
    return np.array(ids, np.int32), classes, queries


def canvas_of(
    ids: np.ndarray,
    numbers: tuple[np.ndarray, list[int], list[int]],
    areas: np.ndarray,
    shares: np.ndarray,
    class_scores: np.ndarray,
) -> Canvas:
    """Segments whose scores are the mean of class score times share over their pixels.

    Args:
        ids: (H, W) int32, painted with the ids of ``numbers``.
        numbers: of ``number_queries``.
        areas: (C,) int64, pixels of each candidate.
        shares: (C,) float64, sum of its shares there.
        class_scores: (C,) float64.
    """
    ids_of_candidate, classes, queries = numbers
    score_sums = np.bincount(ids_of_candidate, shares * class_scores)[1:]
    pixels = np.bincount(ids_of_candidate, areas)[1:]
    segment_scores = score_sums / np.maximum(pixels, 1)
    rows = zip(classes, segment_scores.tolist(), queries, strict=True)
    return Canvas(ids, [PastedSegment(*row) for row in rows])
