"""A panoptic map drawn over its image, and a map of what a prediction got wrong.

Every drawing is one lookup: pixels are numbered by what they show (a segment, a border, a line of the void
hatching, a dot of the crowd pattern), and a small table turns numbers into colour and opacity.
"""

from collections.abc import Mapping

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.colors import segment_colors, segment_rows
from pantile.visualize.legend import error_legend, legend
from pantile.visualize.palette import BORDER_COLOR, DOT_COLOR, ERROR_COLORS, HATCH_COLOR, VOID_COLOR
from pantile.visualize.textures import dots, hatching


def overlay(
    image: np.ndarray,
    panoptic_map: PanopticMap,
    taxonomy: Taxonomy,
    alpha: float = 0.55,
    borders: bool = True,
    colors: Mapping[int, tuple[int, int, int]] | None = None,
) -> np.ndarray:
    """Colours the segments of an image.

    Things have shades of their class colour, stuff the colour itself; crowd is dotted; void, and any id that the
    table does not list, is grey with diagonal lines.

    Args:
        image: (H, W, 3) uint8 RGB.
        panoptic_map: of the same size; zero segments is fine.
        taxonomy: the classes that ``class_index`` counts.
        alpha: opacity of the colours, 0..1.
        borders: draw a thin line where two segments meet.
        colors: RGB of each segment id; None is ``segment_colors``.

    Returns:
        (H, W, 3) uint8, a new array.

    Raises:
        UserError: the sizes differ, the image is not uint8 RGB, or a class index is not in the taxonomy.
    """
    _check(image, panoptic_map, alpha)
    colors = segment_colors(panoptic_map, taxonomy) if colors is None else {VOID_ID: VOID_COLOR, **colors}
    rows = segment_rows(panoptic_map)
    ids = [VOID_ID] + [segment.id for segment in panoptic_map.segments]
    crowd = np.array([False] + [segment.is_crowd for segment in panoptic_map.segments])
    hatch_row, dot_row, border_row = len(ids), len(ids) + 1, len(ids) + 2

    shown = np.where((rows == 0) & hatching(rows.shape), hatch_row, rows)
    if crowd.any():
        shown[crowd[rows] & dots(rows.shape)] = dot_row
    if borders:
        shown[_edges(rows)] = border_row
    palette = np.array([colors[i] for i in ids] + [HATCH_COLOR, DOT_COLOR, BORDER_COLOR])
    opacity = np.full(len(palette), alpha)
    opacity[dot_row], opacity[border_row] = min(1.0, alpha * 1.5), min(1.0, alpha * 1.15)
    return _blend(image, shown, palette, opacity)


def overlay_with_legend(
    image: np.ndarray, panoptic_map: PanopticMap, taxonomy: Taxonomy, alpha: float = 0.55, borders: bool = True
) -> np.ndarray:
    """``overlay`` with the names of the classes that occur in it below. Returns (H', W, 3) uint8."""
    drawn = overlay(image, panoptic_map, taxonomy, alpha, borders)
    visible = np.bincount(segment_rows(panoptic_map).ravel(), minlength=len(panoptic_map.segments) + 1) > 0
    seen = [segment for segment, is_seen in zip(panoptic_map.segments, visible[1:], strict=True) if is_seen]
    names = legend(
        taxonomy,
        {segment.class_index for segment in seen},
        width=image.shape[1],
        void=bool(visible[0]),
        crowd=any(segment.is_crowd for segment in seen),
    )
    return np.concatenate([drawn, names])


def error_map(pred: PanopticMap, gt: PanopticMap, image: np.ndarray | None = None) -> np.ndarray:
    """Shows where a prediction is wrong, in the terms of PQ.

    A pixel is *right* if its two segments have the same class and match (IoU above 0.5, void left out of the union);
    *wrong segment* if the classes agree and the segments do not match; *wrong class* if the classes differ; *missed*
    if nothing was predicted. Void and crowd pixels of the ground truth are hatched: they do not count.

    Args:
        pred: the prediction.
        gt: the ground truth, of the same size.
        image: (H, W, 3) uint8, shown faintly below the colours; None gives flat colours.

    Returns:
        (H, W, 3) uint8. ``error_legend`` explains the colours.
    """
    if pred.size != gt.size:
        raise UserError(f"The prediction is {pred.size} and the ground truth {gt.size} pixels: give maps of one size.")
    kinds = error_kinds(pred, gt)
    names = list(ERROR_COLORS)
    shown = np.where((kinds == names.index("void")) & hatching(kinds.shape), len(names), kinds)
    palette = np.array([*ERROR_COLORS.values(), HATCH_COLOR])
    if image is None:
        return palette.astype(np.uint8)[shown]
    _check(image, gt, 0.0)
    grey = np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    return _blend(grey, shown, palette, np.full(len(palette), 0.65))


def error_kinds(pred: PanopticMap, gt: PanopticMap) -> np.ndarray:
    """(H, W) intp: for each pixel the position of its kind in ``ERROR_COLORS``."""
    right, wrong_segment, wrong_class, missed, void = range(len(ERROR_COLORS))
    gt_rows, pred_rows = segment_rows(gt), segment_rows(pred)
    shape = (len(gt.segments) + 1, len(pred.segments) + 1)
    shared = np.bincount((gt_rows * shape[1] + pred_rows).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    ignored = np.array([True] + [segment.is_crowd for segment in gt.segments])
    gt_class = np.array([-1] + [segment.class_index for segment in gt.segments])
    pred_class = np.array([-2] + [segment.class_index for segment in pred.segments])

    counted = shared[~ignored].sum(axis=0)  # pixels of each predicted segment that are not void
    union = shared.sum(axis=1)[:, None] + counted[None, :] - shared
    kind = np.full(shape, wrong_class)
    kind[gt_class[:, None] == pred_class[None, :]] = wrong_segment
    kind[(kind == wrong_segment) & (2 * shared > union)] = right
    kind[:, 0] = missed
    kind[ignored] = void
    return kind[gt_rows, pred_rows]


def error_map_with_legend(pred: PanopticMap, gt: PanopticMap, image: np.ndarray | None = None) -> np.ndarray:
    """``error_map`` with the meaning of its colours below. Returns (H', W, 3) uint8."""
    return np.concatenate([error_map(pred, gt, image), error_legend(width=gt.size[1])])


def _blend(image: np.ndarray, shown: np.ndarray, palette: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """``image * (1 - opacity) + palette * opacity`` in 16-bit integers, opacity in 256ths."""
    weight = (opacity * 256).round().astype(np.uint16)
    paint = (palette * weight[:, None]).astype(np.uint16)
    return ((image * (256 - weight)[shown][..., None] + paint[shown]) >> 8).astype(np.uint8)


def _edges(rows: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels at the border of two segments; two pixels wide from 1200 pixels on."""
    edges = np.zeros(rows.shape, dtype=bool)
    edges[:, 1:] |= rows[:, 1:] != rows[:, :-1]
    edges[1:] |= rows[1:] != rows[:-1]
    if max(rows.shape) >= 1200:
        edges[:, :-1] |= edges[:, 1:]
        edges[:-1] |= edges[1:]
    return edges


def _check(image: np.ndarray, panoptic_map: PanopticMap, alpha: float) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"The image is {image.dtype} of shape {image.shape}: give (height, width, 3) uint8 RGB.")
    if image.shape[:2] != panoptic_map.size:
        raise UserError(
            f"The image is {image.shape[:2]} and its panoptic map {panoptic_map.size} (height, width): "
            "resize one of them to the other."
        )
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha is {alpha}: give an opacity from 0 to 1.")
