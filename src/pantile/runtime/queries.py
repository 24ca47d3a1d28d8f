"""Independent masks of queries to predictions, with numpy: ``merge.query_argmax``."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.query_config import QueryMergeConfig
from pantile.merge.segments import Canvas
from pantile.merge.winners import Winners, paint_winners
from pantile.runtime.evidence import Evidence, evidence_of_masks
from pantile.runtime.grids import Grid, original_grid
from pantile.runtime.kinds import Maps, register
from pantile.runtime.tasks import instances_of_tiles, most_voted_classes
from pantile.runtime.tiles import Tile, at_least_float32, first_of_best, sigmoid, sigmoid_tiles, softmax


def predict_queries(
    maps: Maps, taxonomy: Taxonomy, config: QueryMergeConfig, placement: Placement, tasks: frozenset[Task]
) -> Prediction:
    """Of class logits (N, K+1) and mask logits (N, h, w); see ``merge.query_argmax.predict_queries``."""
    class_logits, mask_logits = maps["class_logits"], maps["mask_logits"]
    grid = original_grid(mask_logits.shape[-2:], placement, aligned=False)
    probability = softmax(at_least_float32(class_logits), axis=-1)
    prediction = _paint(mask_logits, probability, grid, taxonomy, config).to_prediction()
    instances = semantic = None
    if "instance" in tasks:

        def strips(queries: np.ndarray, transposed: Grid, few: int, height: int) -> Iterator[Tile]:
            return sigmoid_tiles(mask_logits[queries].transpose(0, 2, 1), transposed, few, height)

        instances = instances_of_tiles(strips, probability[:, :-1], taxonomy, config.instances, grid, 0.5)
    if "semantic" in tasks:
        tiles = sigmoid_tiles(mask_logits, grid, config.chunk_rows)
        semantic = most_voted_classes(tiles, probability[:, :-1], grid.size)
    return replace(prediction, instances=instances, semantic=semantic)


def _paint(
    mask_logits: np.ndarray, probability: np.ndarray, grid: Grid, taxonomy: Taxonomy, config: QueryMergeConfig
) -> Canvas:
    best, score = probability.argmax(axis=1), probability.max(axis=1)
    query = np.flatnonzero((best != probability.shape[1] - 1) & (score > config.object_threshold))
    if query.size == 0:
        return Canvas.empty(grid.size)
    number = np.empty(grid.size, np.int16)
    mask_areas = np.zeros(query.size, np.int64)
    weight = score[query].astype(at_least_float32(mask_logits).dtype)[:, None]
    for tile in sigmoid_tiles(mask_logits[query], grid, config.chunk_rows):
        inside = tile.values >= 0.5
        mask_areas += inside.sum(axis=(0, 2))
        weighted = tile.values * weight
        winner = first_of_best(weighted, weighted.max(axis=1))
        lies_inside = np.take_along_axis(inside, winner[:, None], axis=1)[:, 0]
        number[tile.slices] = np.where(lies_inside, winner + 1, -winner - 1)
    return paint_winners(
        Winners(number, mask_areas, query.tolist(), best[query].tolist(), score[query].tolist()), taxonomy, config
    )


def _evidence(maps: Maps, placement: Placement, config: QueryMergeConfig, num_classes: int) -> Evidence:
    grid = original_grid(maps["mask_logits"].shape[-2:], placement, aligned=False)
    return evidence_of_masks(maps, grid, sigmoid)


register(QueryMergeConfig, predict_queries, _evidence)
