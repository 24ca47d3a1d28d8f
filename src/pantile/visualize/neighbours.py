"""A segment beside the segments of the training set that a network takes for most alike, and a panel of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.panels import BACKGROUND, fit_pixels, text
from pantile.visualize.report import ReportData
from pantile.visualize.report_panels import fill_file, register_panel
from pantile.visualize.segment_crops import outline, scaled, window_of

CELL = 200  # pixels of the longer side of a close-up
GAP = 10
TITLE_SIZE = 13
SAME, OTHER = (20, 150, 70), (205, 60, 30)  # frames of neighbours of the segment's class, and of others
FRAME = 5


@dataclass(frozen=True)
class CloseUp:
    """A segment in its surroundings.

    Attributes:
        name: file name of its image.
        class_name: of the segment.
        picture: (h, w, 3) uint8, the segment outlined.
        cosine: to the segment that was asked about, -1..1; None for that one itself.
    """

    name: str
    class_name: str
    picture: np.ndarray
    cosine: float | None = None


@dataclass(frozen=True)
class Neighbourhood:
    """
    Attributes:
        segment: whose neighbours they are.
        note: why it is shown.
        neighbours: the nearest first.
    """

    segment: CloseUp
    note: str
    neighbours: tuple[CloseUp, ...]

    @property
    def same_class(self) -> int:
        return sum(one.class_name == self.segment.class_name for one in self.neighbours)


def close_up(
    name: str,
    image: np.ndarray,
    panoptic: PanopticMap,
    segment_id: int,
    taxonomy: Taxonomy,
    cosine: float | None = None,
) -> CloseUp:
    """Cuts out a segment with its surroundings.

    Args:
        image: (H, W, 3) uint8 RGB.
        panoptic: of the same size, with a pixel of the segment.
    """
    mask = panoptic.ids == segment_id
    class_index = next(segment.class_index for segment in panoptic.segments if segment.id == segment_id)
    window = window_of(mask)
    picture = scaled(image[window], CELL)
    shown = fit_pixels(mask[window], picture.shape[:2])
    drawn = outline(picture, shown, taxonomy.classes[class_index].color, 3)
    return CloseUp(name, taxonomy.names[class_index], drawn, cosine)


def neighbour_sheet(neighbourhoods: Sequence[Neighbourhood]) -> np.ndarray:
    """One row for each segment, itself first, its neighbours framed in green where they have its class, else in red.

    Args:
        neighbourhoods: at least one.

    Returns:
        (H, W, 3) uint8.
    """
    columns = 1 + max(len(one.neighbours) for one in neighbourhoods)
    return np.concatenate([_row(one, columns) for one in neighbourhoods])


def _row(neighbourhood: Neighbourhood, columns: int) -> np.ndarray:
    strip, step = round(TITLE_SIZE * 1.6), CELL + 2 * FRAME + GAP
    height = GAP + 3 * strip + CELL + 2 * FRAME
    canvas = Image.new("RGB", (GAP + columns * step, height), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    segment = neighbourhood.segment
    text(pen, (GAP, GAP, canvas.width - 2 * GAP, strip), f"{segment.class_name}: {neighbourhood.note}", TITLE_SIZE + 1)
    for column, one in enumerate((segment, *neighbourhood.neighbours)):
        left, top = GAP + column * step, GAP + strip
        title = one.class_name if one.cosine is None else f"{one.class_name} {one.cosine:.3f}"
        text(pen, (left, top, CELL + 2 * FRAME, strip), title, TITLE_SIZE)
        text(pen, (left, top + strip, CELL + 2 * FRAME, strip), one.name, TITLE_SIZE - 2)
        frame = BACKGROUND
        if one.cosine is not None:
            frame = SAME if one.class_name == segment.class_name else OTHER
        canvas.paste(Image.fromarray(_framed(one.picture, frame)), (left, top + 2 * strip))
    return np.asarray(canvas)


def _framed(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    height, width = picture.shape[:2]
    framed = np.full((height + 2 * FRAME, width + 2 * FRAME, 3), color, np.uint8)
    framed[FRAME:-FRAME, FRAME:-FRAME] = picture
    return framed


@register_panel("neighbours", "Nearest in the training set", place=55)
def _neighbours(data: ReportData) -> str:
    shown = data.neighbours
    if not shown:
        return ""
    total = sum(len(one.neighbours) for one in shown)
    share = sum(one.same_class for one in shown) / total if total else None
    return fill_file("report_neighbours", rows=[(one, neighbour_sheet([one])) for one in shown], share=share)
