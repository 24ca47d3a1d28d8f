"""Overlapping instances and a class per pixel, from tiles of mask probabilities of any kind.

Both take the probabilities as an iterator, so a map of all queries never exists at full resolution.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from pycocotools.mask import frPyObjects
from torch import Tensor

from pantile.contracts.predictions import Instance
from pantile.merge.mask_tiles import MaskTile


def most_voted_classes(tiles: Iterable[MaskTile], class_probability: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Queries vote for classes: the largest sum over queries of class probability times mask probability.

    Args:
        tiles: cover a grid of ``size``, N queries each.
        class_probability: (N, K) 0..1, without no-object.
        size: (H, W)

    Returns:
        (H, W) int32 class index, the smallest of equals.
    """
    classes = np.empty(size, np.int32)
    for tile in tiles:
        votes = class_probability.T.to(tile.probability.dtype) @ tile.probability  # (r, K, c)
        winner = votes.max(dim=1).indices
        rows, columns = winner.shape
        classes[tile.top : tile.top + rows, tile.left : tile.left + columns] = winner.cpu().numpy()
    return classes


class Candidate(NamedTuple):
    """A query that stands for an instance of a class. The same query may stand for several."""

    query: int
    class_index: int
    score: float


def best_candidates(class_probability: Tensor, thing_indices: tuple[int, ...], count: int) -> list[Candidate]:
    """The ``count`` pairs of query and thing class of highest probability, or all if there are fewer.

    Args:
        class_probability: (N, K) 0..1, without no-object.

    Returns:
        From the highest probability to the lowest; of equals, the lower query first.
    """
    things = np.array(thing_indices, np.int64)
    scores = class_probability.cpu().double().numpy()[:, things].reshape(-1)
    best = np.argsort(-scores, kind="stable")[:count]
    query, column = np.divmod(best, max(len(things), 1))
    return [Candidate(int(q), int(things[k]), float(scores[b])) for q, k, b in zip(query, column, best, strict=True)]


def instances_of(
    strips: Iterable[MaskTile], candidates: list[Candidate], size: tuple[int, int], mask_threshold: float = 0.5
) -> tuple[Instance, ...]:
    """Masks and scores of the candidates.

    An instance's score is its candidate's times the mean mask probability inside the mask. A mask without a pixel is
    no instance.

    Args:
        strips: whole columns of the image, from left to right, as tiles of a transposed grid: ``probability`` is
            (columns, Q, H). Their Q queries are those of ``distinct_queries(candidates)``, in that order.
        candidates: in any order.
        size: (H, W)
        mask_threshold: a pixel is inside where the probability is greater.

    Returns:
        From the highest score to the lowest, equals in the order of the candidates.
    """
    masks = _encode(strips, len(distinct_queries(candidates)), size, mask_threshold)
    position = {query: p for p, query in enumerate(distinct_queries(candidates))}
    found = []
    for candidate in candidates:
        mask = masks[position[candidate.query]]
        if mask is not None:
            encoding, mean = mask
            found.append(Instance(candidate.class_index, candidate.score * mean, dict(encoding)))
    return tuple(sorted(found, key=lambda instance: -instance.score))


def distinct_queries(candidates: list[Candidate]) -> list[int]:
    """Each query once, ascending."""
    return sorted({candidate.query for candidate in candidates})


def _encode(
    strips: Iterable[MaskTile], queries: int, size: tuple[int, int], mask_threshold: float
) -> list[tuple[dict, float] | None]:
    """COCO encoding and mean probability of each mask, None for an empty one.

    COCO counts runs down the columns, and a strip holds whole columns, so its borders between inside and outside are
    the ends of runs; the masks themselves are never kept.
    """
    height, width = size
    areas, sums = np.zeros(queries, np.int64), np.zeros(queries, np.float64)
    ends: list[list[np.ndarray]] = [[] for _ in range(queries)]
    last = np.zeros(queries, bool)  # runs alternate from outside
    for strip in strips:
        inside = strip.probability > mask_threshold
        sums += (strip.probability * inside).sum(dim=(0, 2), dtype=torch.float64).cpu().numpy()
        flat = inside.transpose(0, 1).flatten(1).cpu().numpy()  # (Q, pixels down the columns)
        areas += flat.sum(axis=1)
        before = np.concatenate([last[:, None], flat[:, :-1]], axis=1)
        query, pixel = (flat != before).nonzero()
        last = flat[:, -1]
        bounds = np.searchsorted(query, np.arange(queries + 1))
        for q in np.flatnonzero(np.diff(bounds)):
            ends[q].append(pixel[bounds[q] : bounds[q + 1]] + strip.top * height)
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
