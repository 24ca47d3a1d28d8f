"""Pictures set beside and below each other with titles, as plain uint8 arrays."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (255, 255, 255)
INK = (38, 42, 48)


def side_by_side(images: Sequence[np.ndarray], titles: Sequence[str] = ()) -> np.ndarray:
    """One row of pictures at the height of the first, each under its title.

    Args:
        images: (H, W, 3) uint8 each; other heights are scaled to the first's.
        titles: one per image, or none at all. A title that is too long for its picture ends in an ellipsis.

    Returns:
        (H', W', 3) uint8.
    """
    return grid([images], column_titles=titles)


def grid(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    panel_height: int | None = None,
) -> np.ndarray:
    """Rows of pictures, all of one height, with titles above the columns and above each row.

    Args:
        rows: (H, W, 3) uint8 pictures.
        column_titles: one per column, or none.
        row_titles: one per row, or none.
        panel_height: pixels; default is the height of the first picture.

    Returns:
        (H', W', 3) uint8 on white.
    """
    height = panel_height or rows[0][0].shape[0]
    scaled = [[resize(picture, height) for picture in row] for row in rows]
    widths = [max(row[c].shape[1] for row in scaled if c < len(row)) for c in range(max(map(len, scaled)))]
    gap = max(6, height // 60)
    text_size = max(13, sum(widths) // 75)  # readable when the whole picture is shrunk to the width of a page
    strip = round(text_size * 1.6)
    lefts = np.cumsum([0] + [width + gap for width in widths])[:-1]
    row_strip = strip if row_titles else 0
    row_step = row_strip + height + gap
    top = strip if column_titles else 0
    canvas = Image.new("RGB", (int(lefts[-1]) + widths[-1], top + row_step * len(rows) - gap), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for title, left, width in zip(column_titles, lefts, widths, strict=bool(column_titles)):
        text(pen, (int(left), 0, width, strip), title, text_size)
    for number, row in enumerate(scaled):
        y = top + number * row_step
        if row_titles:
            text(pen, (0, y, canvas.width, row_strip), row_titles[number], text_size)
        for left, picture in zip(lefts, row, strict=False):
            canvas.paste(Image.fromarray(picture), (int(left), y + row_strip))
    return np.asarray(canvas)


def resize(picture: np.ndarray, height: int) -> np.ndarray:
    """Scales (H, W, 3) uint8 to a height, the width in proportion."""
    if picture.shape[0] == height:
        return picture
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    how = Image.Resampling.BOX if picture.shape[0] > height else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def text(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], words: str, size: int) -> None:
    """One line in a box of (left, top, width, height) pixels, centred vertically, cut with an ellipsis."""
    left, top, width, height = box
    words = " ".join(words.split())
    if font(size).getlength(words) > width:
        while words and font(size).getlength(words + "…") > width:
            words = words[:-1]
        words += "…"
    pen.text((left, top + height / 2), words, fill=INK, font=font(size), anchor="lm")


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, so that pictures look alike everywhere; without it Pillow's own."""
    if find_spec("matplotlib") is None:
        return ImageFont.load_default(size)
    import matplotlib  # here, because exported networks run without it

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def fit_pixels(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map enlarged to a photo's (H, W, ...) by repeating pixels, so that its own resolution shows."""
    rows = np.arange(shape[0]) * picture.shape[0] // shape[0]
    columns = np.arange(shape[1]) * picture.shape[1] // shape[1]
    return picture[rows][:, columns]
