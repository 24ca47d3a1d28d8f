"""A predicted thing that covers several true ones, close up: what "confusion between instances" looks like.

As Figures 7 and 9 of de Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation on High-Resolution
Images" (WACV 2023): the ground truth's things outlined, each in its own colour, and the one predicted segment filled.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.legend import named_colors
from pantile.visualize.panels import fit_pixels, font, grid
from pantile.visualize.segment_crops import box_of, outline, scaled, window_of

FILL = (255, 205, 40)  # the predicted segment
#: Of the true things, from the one that is covered the most; no more are named.
OUTLINES = ((0, 125, 215), (220, 70, 20), (0, 160, 115), (205, 90, 165), (70, 190, 235), (120, 75, 190))
OTHERS = (235, 235, 235)  # all other things

_LEAST_SHARE = 0.01  # of a thing that is named
_PANEL, _STACKED_PANEL = 560, 880  # pixels of the longer side of a panel
_STACKED_FROM = 1.4  # width over height of a crop whose panels lie below each other
_OPACITY = 0.6
_LINE = 3  # pixels of an outline
_LEGEND_WIDTH = 800


def draw_confused(
    image: np.ndarray,
    prediction: PanopticMap,
    truth: PanopticMap,
    segment_id: int,
    things: Sequence[tuple[int, float]],
    taxonomy: Taxonomy,
) -> np.ndarray:
    """The segment's surroundings twice: with the true things, and with the predicted segment.

    Args:
        image: (H, W, 3) uint8 RGB.
        prediction: of the same size.
        truth: of the same size.
        segment_id: of the predicted segment.
        things: (ground-truth id, share of its pixels that the segment covers, 0..1), the largest share first, as in
            ``ConfusedSegment.things``. The first six are named, where it covers 1 % or more.
        taxonomy: the classes that ``class_index`` counts.

    Returns:
        (H', W', 3) uint8: two panels and a legend. Small crops are enlarged and large ones shrunk, so that no picture
        is much wider than 1100 pixels.

    Raises:
        UserError: the sizes differ, the image is not uint8 RGB, or a map lacks one of the ids.
    """
    _check(image, prediction, truth)
    covered = [(thing, share) for thing, share in things if share >= _LEAST_SHARE]
    named, unnamed = covered[: len(OUTLINES)], len(covered[len(OUTLINES) :])
    rows = {s.id: s for s in truth.segments}
    segment = _segment(prediction, segment_id, "prediction")
    named_rows = [_segment(truth, thing, "ground truth") for thing, _ in named]

    shown = prediction.ids == segment_id
    window = window_of(shown | np.isin(truth.ids, [thing for thing, _ in named]))
    stacked = _is_wide(window)
    photo = scaled(image[window], _STACKED_PANEL if stacked else _PANEL)
    size = photo.shape[:2]
    filled = fit_pixels(shown[window], size)
    ids = fit_pixels(truth.ids[window], size)
    masks = [ids == thing for thing, _ in named]
    neighbours = [
        ids == s.id
        for s in rows.values()
        if taxonomy.classes[s.class_index].is_thing and not s.is_crowd and s not in named_rows
    ]

    colors = OUTLINES[: len(named)]
    outlined = photo
    for mask in neighbours:
        outlined = outline(outlined, mask, OTHERS, 1)
    painted = np.repeat(photo.mean(axis=2, keepdims=True), 3, axis=2) * 0.85
    painted[filled] = (1 - _OPACITY) * painted[filled] + _OPACITY * np.array(FILL)
    painted = painted.astype(np.uint8)
    for mask, color in zip(masks, colors, strict=True):
        outlined, painted = (outline(panel, mask, color, _LINE) for panel in (outlined, painted))
    for mask, color, (_, share) in zip(masks, colors, named, strict=True):
        painted = _tag(painted, mask, _percent(share), color)

    titles = ("ground truth", f"predicted: {_name(segment, taxonomy)}, score {segment.score:.2f}")
    pictures = grid([[outlined], [painted]] if stacked else [[outlined, painted]], **_titles(titles, stacked))
    entries = [
        (f"{_name(row, taxonomy)}: {_percent(share)} covered", color)
        for row, (_, share), color in zip(named_rows, named, colors, strict=True)
    ]
    if unnamed:
        entries.append((f"{unnamed} more covered", OTHERS))
    # Written for at most this width, its words are as large as the titles.
    names = named_colors([("predicted segment", FILL), *entries], min(pictures.shape[1], _LEGEND_WIDTH))
    beside = ((0, 0), (0, pictures.shape[1] - names.shape[1]), (0, 0))
    return np.concatenate([pictures, np.pad(names, beside, constant_values=255)])


def _titles(titles: tuple[str, str], stacked: bool) -> dict:
    return {"row_titles" if stacked else "column_titles": titles}


def _name(segment: Segment, taxonomy: Taxonomy) -> str:
    return taxonomy.names[segment.class_index]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _is_wide(window: tuple[slice, slice]) -> bool:
    height, width = (axis.stop - axis.start for axis in window)
    return width > _STACKED_FROM * height


def _tag(picture: np.ndarray, mask: np.ndarray, words: str, color: tuple[int, int, int]) -> np.ndarray:
    """Words on a plate of the colour, where the mask is widest; above or below a mask that the plate would hide."""
    if not mask.any():  # between the pixels of a crop that was made smaller
        return picture
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    left, top, right, bottom = pen.textbbox((0, 0), words, font=font(15), anchor="mm")
    half_width, half_height = (right - left) // 2 + 5, (bottom - top) // 2 + 4

    box = box_of(mask, margin=0)
    depth = distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1]  # the border of the picture is one of the mask
    y, x = (int(n) for n in np.unravel_index(depth.argmax(), depth.shape))
    deepest = depth[y, x]
    y, x = y + box[0].start, x + box[1].start
    if deepest < half_width:
        rows = np.flatnonzero(mask.any(axis=1))
        above = int(rows[0]) - half_height - 2
        y = above if above > half_height else int(rows[-1]) + half_height + 2
    x, y = (
        max(half, min(n, length - half - 1))
        for n, half, length in ((x, half_width, canvas.width), (y, half_height, canvas.height))
    )
    plate = (x - half_width, y - half_height, x + half_width, y + half_height)
    pen.rounded_rectangle(plate, 4, fill=color, outline=(255, 255, 255))
    pen.text((x, y), words, fill=(255, 255, 255), font=font(15), anchor="mm")
    return np.asarray(canvas)


def _segment(panoptic: PanopticMap, segment_id: int, what: str) -> Segment:
    found = next((s for s in panoptic.segments if s.id == segment_id), None)
    if found is None or not (panoptic.ids == segment_id).any():
        raise UserError(f"The {what} has no segment {segment_id}: name one that its table lists and its pixels hold.")
    return found


def _check(image: np.ndarray, prediction: PanopticMap, truth: PanopticMap) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"The image is {image.dtype} of shape {image.shape}: give (height, width, 3) uint8 RGB.")
    if not image.shape[:2] == prediction.size == truth.size:
        raise UserError(
            f"The image is {image.shape[:2]}, the prediction {prediction.size} and the ground truth {truth.size} "
            "(height, width): resize the maps to the image."
        )
