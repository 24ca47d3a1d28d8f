"""Instances and a class per pixel from tiles of mask probabilities, with numpy: ``merge.query_tasks``."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pantile.contracts.predictions import Instance
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.instance_masks import MaskStrip, best_candidates, distinct_queries, instances_of_strips
from pantile.runtime.grids import Grid
from pantile.runtime.tiles import Tile, first_of_best

_STRIP_PIXELS = 2**14  # of a strip of whole columns, per query

#: (queries, transposed grid, columns at a time, height) -> tiles whose values are probabilities of those queries
Strips = Callable[[np.ndarray, Grid, int, int], Iterable[Tile]]


def most_voted_classes(tiles: Iterable[Tile], class_probability: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) int32: the largest sum over queries of class probability (N, K) times ``Tile.values``."""
    classes = np.empty(size, np.int32)
    for tile in tiles:
        votes = class_probability.T.astype(tile.values.dtype) @ tile.values  # (r, K, c)
        classes[tile.slices] = first_of_best(votes, votes.max(axis=1))
    return classes


def instances_of_tiles(
    strips: Strips, class_probability: np.ndarray, taxonomy: Taxonomy, count: int, grid: Grid, threshold: float
) -> tuple[Instance, ...]:
    """The ``count`` best pairs of query and thing class; see ``merge.instance_masks``."""
    candidates = best_candidates(class_probability, taxonomy.thing_indices, count)
    if not candidates:
        return ()
    height = grid.size[0]
    queries = np.array(distinct_queries(candidates))
    tiles = strips(queries, grid.transposed, max(1, _STRIP_PIXELS // height), height)
    return instances_of_strips(_measured(tiles, len(queries), threshold), candidates, grid.size)


def _measured(tiles: Iterable[Tile], queries: int, threshold: float) -> Iterator[MaskStrip]:
    for tile in tiles:
        probability = tile.values[:, :queries]
        inside = probability > threshold
        sums = np.where(inside, probability, 0).sum(axis=(0, 2), dtype=np.float64)
        yield MaskStrip(tile.top, np.arange(queries), inside.transpose(1, 0, 2).reshape(queries, -1), sums)
