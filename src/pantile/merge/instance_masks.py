"""Overlapping instances from masks that are seen strip by strip, as run-length encodings."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pantile.contracts.predictions import Instance


class Candidate(NamedTuple):
    """A query that stands for an instance of a class. The same query may stand for several."""

    query: int
    class_index: int
    score: float


def best_candidates(class_probability: np.ndarray, thing_indices: tuple[int, ...], count: int) -> list[Candidate]:
    """The ``count`` pairs of query and thing class of highest probability, or all if there are fewer.

    Args:
        class_probability: (N, K) 0..1, without no-object.

    Returns:
        From the highest probability to the lowest; of equals, the lower query first.
    """
    things = np.array(thing_indices, np.int64)
    scores = class_probability.astype(np.float64)[:, things].reshape(-1)
    best = np.argsort(-scores, kind="stable")[:count]
    query, column = np.divmod(best, max(len(things), 1))
    return [Candidate(int(q), int(things[k]), float(scores[b])) for q, k, b in zip(query, column, best, strict=True)]


def distinct_queries(candidates: list[Candidate]) -> list[int]:
    """Each query once, ascending."""
    return sorted({candidate.query for candidate in candidates})


class MaskStrip(NamedTuple):
    """Whole columns of an image, of the masks that may have a pixel there.

    Attributes:
        left: the first column.
        masks: (q,) int64, ascending, which of Q masks these are; the others have no pixel in these columns.
        inside: (q, pixels down the columns) bool.
        sums: (q,) float64, of the probabilities inside.
    """

    left: int
    masks: np.ndarray
    inside: np.ndarray
    sums: np.ndarray


def instances_of_strips(
    strips: Iterable[MaskStrip], candidates: list[Candidate], size: tuple[int, int]
) -> tuple[Instance, ...]:
    """Masks and scores of the candidates.

    An instance's score is its candidate's times the mean mask probability inside the mask. A mask without a pixel is
    no instance.

    Args:
        strips: from left to right, without a gap; their Q masks are those of ``distinct_queries(candidates)``, in that
            order.
        candidates: in any order.
        size: (H, W)

    Returns:
        From the highest score to the lowest, equals in the order of the candidates.
    """
    queries = distinct_queries(candidates)
    masks = encode_masks(strips, len(queries), size)
    position = {query: p for p, query in enumerate(queries)}
    found = []
    for candidate in candidates:
        mask = masks[position[candidate.query]]
        if mask is not None:
            encoding, mean = mask
            found.append(Instance(candidate.class_index, candidate.score * mean, dict(encoding)))
    return tuple(sorted(found, key=lambda instance: -instance.score))


def encode_masks(strips: Iterable[MaskStrip], queries: int, size: tuple[int, int]) -> list[tuple[dict, float] | None]:
    """COCO encoding and mean probability of each mask, None for an empty one.

    COCO counts runs down the columns, and a strip holds whole columns, so its borders between inside and outside are
    the ends of runs; the masks themselves are never kept.
    """
    from pycocotools.mask import frPyObjects  # here, because panoptic maps do without it

    height, width = size
    areas, sums = np.zeros(queries, np.int64), np.zeros(queries, np.float64)
    ends: list[list[np.ndarray]] = [[] for _ in range(queries)]
    last = np.zeros(queries, bool)  # runs alternate from outside
    for strip in strips:
        here = strip.masks
        gone = last.copy()
        gone[here] = False
        for q in np.flatnonzero(gone):
            ends[q].append(np.array([strip.left * height]))
        last[gone] = False
        sums[here] += strip.sums
        areas[here] += strip.inside.sum(axis=1)
        before = np.concatenate([last[here, None], strip.inside[:, :-1]], axis=1)
        row, pixel = (strip.inside != before).nonzero()
        last[here] = strip.inside[:, -1]
        bounds = np.searchsorted(row, np.arange(len(here) + 1))
        for r in np.flatnonzero(np.diff(bounds)):
            ends[here[r]].append(pixel[bounds[r] : bounds[r + 1]] + strip.left * height)
    encoded: list[tuple[dict, float] | None] = []
    for q in range(queries):
        if areas[q] == 0:
            encoded.append(None)
            continue
        runs = np.diff(np.concatenate(ends[q]), prepend=0, append=height * width)
        counts = runs[:-1] if runs[-1] == 0 else runs
        encoding = frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
        encoded.append((encoding, sums[q] / areas[q]))
    return encoded
