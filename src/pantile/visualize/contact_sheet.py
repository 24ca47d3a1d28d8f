"""Many labelled images on one sheet: overlays under their names, and one legend for all of them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.labelled_image import LabelledImage
from pantile.visualize.legend import legend
from pantile.visualize.panels import BACKGROUND, text

CELL = 320  # pixels: width and greatest height of a picture
GAP = 12
TITLE_SIZE = 14


def contact_sheet(images: Sequence[LabelledImage], taxonomy: Taxonomy, columns: int = 4) -> np.ndarray:
    """
    Args:
        images: at least one.
        taxonomy: names and colours for the legend.
        columns: pictures beside each other, if there are as many.

    Returns:
        (H, W, 3) uint8. Pictures keep their proportions; a row is as high as its highest picture.

    Raises:
        UserError: no image.
    """
    if not images:
        raise UserError("A contact sheet needs at least one image: choose a split that has some.")
    columns = min(columns, len(images))
    width = columns * (CELL + GAP) + GAP
    rows = [_row(images[start : start + columns], width) for start in range(0, len(images), columns)]
    segments = [segment for image in images for segment in image.segments]
    names = legend(
        taxonomy,
        {segment.class_index for segment in segments},
        width,
        void=any(image.void_area for image in images),
        crowd=any(segment.is_crowd for segment in segments),
    )
    return np.concatenate([*rows, names])


def _row(images: Sequence[LabelledImage], width: int) -> np.ndarray:
    """(h, width, 3) uint8."""
    pictures = [_fit(image.overlay) for image in images]
    strip = round(TITLE_SIZE * 1.7)
    canvas = Image.new("RGB", (width, GAP + strip + max(picture.height for picture in pictures)), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for column, (image, picture) in enumerate(zip(images, pictures, strict=True)):
        left = GAP + column * (CELL + GAP)
        text(pen, (left, GAP, CELL, strip), image.name, TITLE_SIZE)
        canvas.paste(picture, (left, GAP + strip))
    return np.asarray(canvas)


def _fit(picture: np.ndarray) -> Image.Image:
    """The largest size within a cell; small pictures are enlarged by repeating pixels, which shows what is there."""
    height, width = picture.shape[:2]
    factor = CELL / max(height, width)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return Image.fromarray(picture).resize(size, how)
