"""Class logits of pixels to predictions, with numpy: ``merge.semantic`` and ``merge.semantic_maps``."""

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.segments import Canvas, PastedSegment
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.runtime.evidence import Evidence, evidence_of_classes
from pantile.runtime.grids import Grid, original_grid
from pantile.runtime.kinds import Maps, register
from pantile.runtime.tiles import first_of_best, likelihood_tiles, share_tiles


def predict_classes(
    maps: Maps, taxonomy: Taxonomy, config: SemanticMergeConfig, placement: Placement, tasks: frozenset[Task]
) -> Prediction:
    """Of class logits (k, h, w); see ``merge.semantic_maps.predict_classes``."""
    logits = maps["class_logits"]
    grid = original_grid(logits.shape[-2:], placement, config.align_corners)
    classes, probability = most_likely_classes(
        logits, grid, config.chunk_rows, maps.get("classes"), config.resize == "logits"
    )
    limits = np.where(taxonomy.thing_flags, config.thing_area_limit, config.stuff_area_limit)
    flat = classes.reshape(-1)
    area = np.bincount(flat, minlength=len(limits))
    score = np.bincount(flat, probability.reshape(-1), minlength=len(limits)) / np.maximum(area, 1)
    kept = np.flatnonzero(area >= np.maximum(limits, 1))
    id_of_class = np.zeros(len(limits), np.int32)
    id_of_class[kept] = 1 + np.arange(kept.size)
    canvas = Canvas(id_of_class[classes], [PastedSegment(int(k), float(score[k])) for k in kept])
    return Prediction(canvas.to_map(), semantic=classes if "semantic" in tasks else None, per_class=True)


def most_likely_classes(
    logits: np.ndarray, grid: Grid, rows: int, selection: np.ndarray | None, logits_first: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) int32 class index and float32 probability of (k, h, w); see ``merge.semantic.most_likely_classes``."""
    order, names = _in_class_order(logits, selection)
    found, probability = np.empty(grid.size, np.int32), np.empty(grid.size, np.float32)
    for tile in (likelihood_tiles if logits_first else share_tiles)(logits, order, grid, rows):
        best = tile.values.max(axis=1)
        found[tile.slices] = names[first_of_best(tile.values, best)]
        probability[tile.slices] = best / tile.total
    return found, probability


def _in_class_order(logits: np.ndarray, selection: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    if selection is None:
        return np.arange(len(logits)), np.arange(len(logits), dtype=np.int32)
    order = np.argsort(selection, kind="stable")
    order = order[selection[order] >= 0]
    return order, selection[order].astype(np.int32)


def _evidence(maps: Maps, placement: Placement, config: SemanticMergeConfig, num_classes: int) -> Evidence:
    logits = maps["class_logits"]
    grid = original_grid(logits.shape[-2:], placement, config.align_corners)
    return evidence_of_classes(logits, grid, maps.get("classes"), num_classes, config.resize == "logits")


register(SemanticMergeConfig, predict_classes, _evidence, frozenset({"panoptic", "semantic", "presence"}))
