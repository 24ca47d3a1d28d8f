"""Outputs by centres to predictions, with numpy: ``merge.centers``."""

import numpy as np

from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction, Task
from pantile.contracts.taxonomy import Taxonomy
from pantile.merge.center_config import CenterMergeConfig
from pantile.merge.center_growth import offset_growth
from pantile.merge.center_painting import Things, majority_classes, paint_centers, warn_of_uncentred_things
from pantile.merge.nearest_centers import Centers, best_centers, centers_at, nearest_centers
from pantile.merge.nearest_pixels import to_original
from pantile.merge.segments import Canvas
from pantile.runtime.classes import most_likely_classes
from pantile.runtime.evidence import Evidence, evidence_of_classes
from pantile.runtime.grids import Grid, center_grid
from pantile.runtime.kinds import Maps, register
from pantile.runtime.tiles import at_least_float32, softmax

_PIXELS_AT_A_TIME = 32768


def predict_centers(
    maps: Maps, taxonomy: Taxonomy, config: CenterMergeConfig, placement: Placement, tasks: frozenset[Task]
) -> Prediction:
    """Of class logits (k, h, w), heat (1, h, w) and offsets (2, h, w); see ``merge.centers.predict_centers``."""
    logits, selection = maps["semantic_logits"], maps.get("classes")
    at_original = config.resize_order == "logits_first"
    grid = center_grid(logits.shape[-2:], placement, at_original)
    classes, probability = most_likely_classes(logits, grid, config.chunk_rows, selection)
    pixels = np.flatnonzero(np.array(taxonomy.thing_flags)[classes])
    things = _group_things(pixels, maps, placement, config)

    thing_class = majority_classes(things, classes, taxonomy.num_classes)
    own = classes.reshape(-1)[things.pixels]
    thing_probability = probability.reshape(-1)[things.pixels]
    assigned = thing_class[things.owner]
    outvoted = np.flatnonzero(own != assigned)
    channels = _channels(assigned[outvoted], selection, taxonomy.num_classes)
    thing_probability[outvoted] = _probability_at(logits, grid, things.pixels[outvoted], channels)

    canvas = paint_centers(classes, probability, things, thing_class, thing_probability, taxonomy, config)
    if not at_original:
        canvas = Canvas(to_original(canvas.ids, placement), canvas.segments)
        classes = to_original(classes, placement) if "semantic" in tasks else classes
    panoptic = canvas.to_map()
    instances = None
    if "instance" in tasks:
        from pantile.contracts.run_lengths import instances_of  # it needs pycocotools

        instances = instances_of(panoptic, taxonomy)
    return Prediction(panoptic, instances, classes if "semantic" in tasks else None)


def _group_things(pixels: np.ndarray, maps: Maps, placement: Placement, config: CenterMergeConfig) -> Things:
    at_original = config.resize_order == "logits_first"
    none = Things(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    if pixels.size == 0:
        return none
    heat = _resized(maps["center_heatmap"], placement, at_original)[0]
    centers = _find_centers(heat, config)
    if len(centers) == 0:
        if config.uncentred_things == "void":
            warn_of_uncentred_things()
            return none
        hottest = np.array([heat.argmax()])
        centers = centers_at(hottest, heat.reshape(-1)[hottest].clip(min=0), heat.shape[1])
    offset = maps["center_offset"]
    growth = offset_growth(offset.shape[-2:], placement, at_original)
    resized = _resized(offset, placement, at_original).reshape(2, -1)
    vote_y, vote_x = (
        position + resized[axis, pixels].astype(np.float64) * growth[axis]
        for axis, position in enumerate(np.divmod(pixels, heat.shape[1]))
    )
    return Things(pixels, nearest_centers(vote_y, vote_x, centers, heat.shape), centers.heat)


def _find_centers(heatmap: np.ndarray, config: CenterMergeConfig) -> Centers:
    """See ``merge.grouping.find_centers``."""
    heat = np.where(heatmap > config.center_threshold, heatmap, 0)
    flat = np.flatnonzero((heat == _window_maximum(heat, config.nms_kernel)) & (heat > 0))
    return best_centers(flat, heat.reshape(-1)[flat], heat.shape[1], config)


def _window_maximum(heat: np.ndarray, kernel: int) -> np.ndarray:
    """Largest value of the kernel x kernel square around each pixel of an (H, W) map of values >= 0."""
    reach = kernel // 2
    for axis in (0, 1):
        extent = heat.shape[axis]
        window = np.pad(heat, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)])
        length = 1
        while 2 * length <= kernel:
            whole = window.shape[axis]
            window = np.maximum(_part(window, axis, 0, whole - length), _part(window, axis, length, whole - length))
            length *= 2
        heat = np.maximum(_part(window, axis, 0, extent), _part(window, axis, kernel - length, extent))
    return heat


def _part(values: np.ndarray, axis: int, start: int, length: int) -> np.ndarray:
    return values[start : start + length] if axis == 0 else values[:, start : start + length]


def _resized(maps: np.ndarray, placement: Placement, at_original: bool) -> np.ndarray:
    """(C, h, w) to (C, H, W)."""
    grid = center_grid(maps.shape[-2:], placement, at_original)
    exact = at_least_float32(maps)
    return grid.rows.astype(exact.dtype) @ (exact @ grid.columns.T.astype(exact.dtype))


def _channels(classes: np.ndarray, selection: np.ndarray | None, num_classes: int) -> np.ndarray:
    """(P,) class index, all of selected classes, to (P,) channel."""
    if selection is None:
        return classes
    table = np.zeros(num_classes + 1, np.int64)  # the last one is that of no class
    table[selection] = np.arange(selection.size)
    return table[classes]


def _probability_at(logits: np.ndarray, grid: Grid, pixels: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """(P,) float32 softmax probability of chosen channels at chosen pixels; see ``merge.semantic.probability_at``."""
    exact = at_least_float32(logits)
    rows, columns = grid.rows.astype(exact.dtype), grid.columns.astype(exact.dtype)
    found = np.empty(pixels.size, np.float32)
    for start in range(0, pixels.size, _PIXELS_AT_A_TIME):
        part = slice(start, start + _PIXELS_AT_A_TIME)
        y, x = np.divmod(pixels[part], grid.size[1])
        (top, row_weight), (left, column_weight) = _two_taps(rows[y]), _two_taps(columns[x])
        total = np.zeros((len(logits), y.size), exact.dtype)
        for row in range(row_weight.shape[1]):
            for column in range(column_weight.shape[1]):
                total += exact[:, top + row, left + column] * (row_weight[:, row] * column_weight[:, column])
        found[part] = softmax(total, axis=0)[channels[part], np.arange(y.size)]
    return found


def _two_taps(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, n) with few neighbouring non-zero entries to the first position (P,) and the values (P, t)."""
    used = weights != 0
    first = used.argmax(axis=1)
    count = int((weights.shape[1] - used[:, ::-1].argmax(axis=1) - first).max())
    first = np.minimum(first, weights.shape[1] - count)
    return first, np.take_along_axis(weights, first[:, None] + np.arange(count), axis=1)


def _evidence(maps: Maps, placement: Placement, config: CenterMergeConfig, num_classes: int) -> Evidence:
    logits = maps["semantic_logits"]
    grid = center_grid(logits.shape[-2:], placement, at_original=True)
    return evidence_of_classes(logits, grid, maps.get("classes"), num_classes)


register(CenterMergeConfig, predict_centers, _evidence)
