"""A film strip: some frames of a video beside each other, and below them the same with segments, row by row."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.film_colors import FilmColors
from pantile.visualize.overlay import overlay
from pantile.visualize.panels import BACKGROUND, text

CELL = 160  # pixels: the longer side of a frame
GAP = 6
TITLE_SIZE = 13


def film_strip(
    images: Sequence[np.ndarray],
    rows: Mapping[str, Sequence[PanopticMap]],
    taxonomy: Taxonomy,
    shown: Sequence[int] | None = None,
) -> np.ndarray:
    """
    Args:
        images: T frames, (H, W, 3) uint8 each.
        rows: title -> the T maps of a row, such as those of the truth and of a prediction. A segment keeps its colour
            along its row as long as it keeps its id.
        taxonomy: of all maps.
        shown: which frames, in order; None is all.

    Returns:
        (H, W, 3) uint8: a row of the images, then one for each of ``rows``, each under its title.

    Raises:
        UserError: no frames, or a row with another number of them.
    """
    shown = range(len(images)) if shown is None else shown
    wrong = [title for title, maps in rows.items() if len(maps) != len(images)]
    if not len(images) or not len(shown) or wrong:
        what = f"the row {wrong[0]!r} has {len(rows[wrong[0]])} of {len(images)} frames" if wrong else "no frame"
        raise UserError(f"A film strip has a map for every frame and shows at least one: there is {what}.")
    strips = [("frames", [images[k] for k in shown])]
    for title, maps in rows.items():
        colors = FilmColors(taxonomy)
        by_frame = [colors.of(panoptic) for panoptic in maps]  # also of frames that are not shown
        drawn = [overlay(images[k], maps[k], taxonomy, colors=by_frame[k]) for k in shown]
        strips.append((title, drawn))
    return np.concatenate([_strip(title, pictures) for title, pictures in strips])


def _strip(title: str, pictures: Sequence[np.ndarray]) -> np.ndarray:
    cells = [_fit(picture) for picture in pictures]
    width = GAP + sum(cell.width + GAP for cell in cells)
    bar = round(TITLE_SIZE * 1.7)
    canvas = Image.new("RGB", (width, bar + GAP + max(cell.height for cell in cells)), BACKGROUND)
    text(ImageDraw.Draw(canvas), (GAP, 0, width - 2 * GAP, bar), title, TITLE_SIZE)
    left = GAP
    for cell in cells:
        canvas.paste(cell, (left, bar))
        left += cell.width + GAP
    return np.asarray(canvas)


def _fit(picture: np.ndarray) -> Image.Image:
    height, width = picture.shape[:2]
    factor = CELL / max(height, width)
    return Image.fromarray(picture).resize((max(1, round(width * factor)), max(1, round(height * factor))))
