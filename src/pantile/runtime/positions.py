"""Kernels found at positions to predictions, with numpy: ``merge.panoptic_fcn``, which tells the rules."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Instance, Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.kernel_fusion import fuse_kernels
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig
from pantile.merge.segments import Canvas, PastedSegment
from pantile.merge.tile_layout import Window
from pantile.runtime.evidence import Evidence, resized
from pantile.runtime.grids import Grid, original_grid
from pantile.runtime.kinds import Maps, register
from pantile.runtime.tiles import at_least_float32, first_of_best, resized_tiles, sigmoid, softmax

_TILE = (64, 128)


class _Segment(NamedTuple):
    """A thing or a region of stuff: class -1 for that of no class, and the queries whose mean mask it has."""

    class_index: int
    score: float
    queries: list[int]


def predict_positions(
    maps: Maps, taxonomy: Taxonomy, config: PanopticFCNMergeConfig, placement: Placement, tasks: frozenset[Task]
) -> Prediction:
    """Of class logits (N, K+1), mask logits (N, h, w) and kernels ``query_embed`` (N, D)."""
    logits = at_least_float32(maps["mask_logits"])
    grid = original_grid(logits.shape[-2:], placement, aligned=False)
    things, regions = _read_queries(maps, taxonomy, config)
    things = _rescored(things, logits, config)
    canvas = Canvas.empty(grid.size)
    instances = _paint_things(canvas, things, logits, grid, config, "instance" in tasks)
    _paint_stuff(canvas, regions, logits, grid)
    semantic = None
    if "semantic" in tasks:
        semantic = np.array([-1, *(s.class_index for s in canvas.segments)], np.int32)[canvas.ids]
    prediction = canvas.without_small(taxonomy, config).to_prediction()
    return replace(prediction, instances=instances if "instance" in tasks else None, semantic=semantic)


def _read_queries(
    maps: Maps, taxonomy: Taxonomy, config: PanopticFCNMergeConfig
) -> tuple[list[_Segment], list[_Segment]]:
    """Things, their kernels fused, from the highest score to the lowest; and regions in the order of classes."""
    probability = softmax(at_least_float32(maps["class_logits"]), axis=-1)
    classes = probability[:, :-1]
    best, label = classes.max(axis=1), classes.argmax(axis=1)
    of_no_class = (classes == best[:, None]).all(axis=1) & (taxonomy.num_classes > 1)
    score = np.where(of_no_class, probability[:, -1], best).astype(np.float64)
    label = np.where(of_no_class, -1, label)
    is_thing = np.array(taxonomy.thing_flags)[label] & ~of_no_class

    peaks = np.flatnonzero(is_thing & (score > config.peak_threshold))
    peaks = peaks[np.argsort(-score[peaks], kind="stable")]
    groups = fuse_kernels(maps["query_embed"][peaks], label[peaks], config.similarity_threshold)
    things = [
        _Segment(int(label[peaks[leader]]), float(score[peaks[leader]]), peaks[groups.group_of == number].tolist())
        for number, leader in enumerate(groups.kept)
    ]
    accepted = ~is_thing & (score > config.region_threshold)
    regions = []
    for class_index in np.unique(label[accepted]).tolist():
        queries = np.flatnonzero(accepted & (label == class_index))
        regions.append(_Segment(class_index, float(score[queries].mean()), queries.tolist()))
    return things, regions


def _mean_mask(logits: np.ndarray, queries: list[int]) -> np.ndarray:
    """(h, w) 0..1, the sigmoid of the mean logits; 0 without a query."""
    return sigmoid(logits[queries].mean(axis=0)) if queries else np.zeros(logits.shape[-2:], logits.dtype)


def _rescored(things: list[_Segment], logits: np.ndarray, config: PanopticFCNMergeConfig) -> list[_Segment]:
    """Scores times the mean probability inside each mask; the best of those that reach the threshold."""
    passed = []
    for thing in things:
        probability = _mean_mask(logits, thing.queries)
        inside = probability > config.mask_threshold
        mean = np.where(inside, probability, 0).sum(dtype=np.float64) / max(int(inside.sum()), 1)
        if thing.score * mean >= config.instance_threshold:
            passed.append(thing._replace(score=float(thing.score * mean)))
    return sorted(passed, key=lambda thing: -thing.score)[: config.instances]


def _paint_things(
    canvas: Canvas,
    things: list[_Segment],
    logits: np.ndarray,
    grid: Grid,
    config: PanopticFCNMergeConfig,
    with_instances: bool,
) -> tuple[Instance, ...]:
    """Paints the canvas in place, and encodes each mask as it is made, if asked to."""
    instances = []
    for thing in things:
        if thing.score < config.object_threshold and not with_instances:
            break
        mask = _full_mask(_mean_mask(logits, thing.queries), grid, config.mask_threshold)
        area = int(mask.sum())
        if area == 0:
            continue
        if with_instances:
            from pycocotools.mask import encode  # panoptic maps do without it

            instances.append(Instance(thing.class_index, thing.score, encode(np.asfortranarray(mask, np.uint8))))
        if thing.score >= config.object_threshold:
            free = mask & (canvas.ids == 0)
            if (area - int(free.sum())) / area <= config.overlap_threshold:
                canvas.segments.append(PastedSegment(thing.class_index, thing.score, thing.queries[0]))
                canvas.ids[free] = len(canvas.segments)
    return tuple(instances)


def _full_mask(probability: np.ndarray, grid: Grid, threshold: float) -> np.ndarray:
    """(H, W) bool: where the probability at the image's size is greater. What no inside reaches is not resized."""
    mask = np.zeros(grid.size, bool)
    inside = probability > threshold
    rows, columns = (_reached(weights, inside.any(axis=axis)) for weights, axis in ((grid.rows, 1), (grid.columns, 0)))
    if rows is not None and columns is not None:
        part = Grid(grid.rows[rows], grid.columns[columns])
        wide = probability @ part.columns.T.astype(probability.dtype)
        mask[rows, columns] = part.rows.astype(probability.dtype) @ wide > threshold
    return mask


def _reached(weights: np.ndarray, entries: np.ndarray) -> slice | None:
    pixels = np.flatnonzero((weights[:, entries] != 0).any(axis=1))
    return slice(int(pixels[0]), int(pixels[-1]) + 1) if pixels.size else None


def _paint_stuff(canvas: Canvas, regions: list[_Segment], logits: np.ndarray, grid: Grid) -> None:
    """Gives the free pixels of the canvas to the most probable region, in place."""
    of_no_class = [region.queries for region in regions if region.class_index < 0]
    stuff = [region for region in regions if region.class_index >= 0]
    if not stuff:
        return
    layers = [*of_no_class] or [[]]  # zeros where there is none
    maps = np.stack([_mean_mask(logits, queries) for queries in [*layers, *(region.queries for region in stuff)]])
    first_id = len(canvas.segments) + 1
    canvas.segments.extend(PastedSegment(r.class_index, r.score, r.queries[0]) for r in stuff)
    for top, left, values in resized_tiles(maps, grid, *_TILE):
        winner = first_of_best(values, values.max(axis=1))
        rows, columns = winner.shape
        ids = canvas.ids[top : top + rows, left : left + columns]
        np.copyto(ids, winner + (first_id - 1), where=(ids == 0) & (winner > 0))


def _evidence(maps: Maps, placement: Placement, config: PanopticFCNMergeConfig, num_classes: int) -> Evidence:
    probability = softmax(maps["class_logits"].astype(np.float32), axis=-1)[:, :-1]
    score, label = probability.max(axis=1), probability.argmax(axis=1)
    if num_classes > 1:  # a query whose classes are all equal stands for none
        score = np.where((probability == score[:, None]).all(axis=1), 0, score)
    heard = np.flatnonzero(score > min(config.peak_threshold, config.region_threshold))
    masks = sigmoid(maps["mask_logits"][heard].astype(np.float32))  # resized as such, as the merge does
    score, label = score[heard], label[heard]
    grid = original_grid(masks.shape[-2:], placement, aligned=False)

    def evidence(window: Window) -> np.ndarray:
        votes = resized(masks, grid, window).reshape(heard.size, window.size[0] * window.size[1]) * score[:, None]
        best = np.zeros((num_classes, votes.shape[1]), np.float32)
        for class_index in np.unique(label).tolist():
            best[class_index] = votes[label == class_index].max(axis=0)
        return (best / np.maximum(best.sum(axis=0), 1e-12)).reshape(num_classes, *window.size)

    return evidence


register(PanopticFCNMergeConfig, predict_positions, _evidence)
