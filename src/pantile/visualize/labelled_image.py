"""One labelled image made ready to be looked at: photo, overlay and a lookup from pixel to segment, at screen size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.colors import segment_rows
from pantile.visualize.overlay import overlay
from pantile.visualize.panels import fit_pixels

LONGEST_SIDE = 800  # pixels on the screen


@dataclass(frozen=True)
class ShownSegment:
    """What is told about a segment.

    Attributes:
        id: in the panoptic map.
        class_index: in the taxonomy.
        is_crowd: a region of things that are not separated.
        area: pixels of the image as it was read, not of the picture on the screen.
    """

    id: int
    class_index: int
    is_crowd: bool
    area: int


@dataclass(frozen=True)
class LabelledImage:
    """
    Attributes:
        name: file name.
        size: (height, width) of the image as it was read.
        photo: (h, w, 3) uint8, at most ``LONGEST_SIDE`` pixels on its longer side.
        overlay: (h, w, 3) uint8, the labels drawn over the photo.
        rows: (h, w) uint16, r + 1 where ``segments[r]`` lies, 0 on void.
        segments: in the order of the map's table.
        void_area: pixels without label in the image as it was read.
    """

    name: str
    size: tuple[int, int]
    photo: np.ndarray
    overlay: np.ndarray
    rows: np.ndarray
    segments: tuple[ShownSegment, ...]
    void_area: int


def draw_labelled(name: str, image: np.ndarray, panoptic: PanopticMap, taxonomy: Taxonomy) -> LabelledImage:
    """
    Args:
        name: shown above the picture.
        image: (H, W, C) uint8; of an image with more than three channels the first three are shown, of one with fewer
            the first.
        panoptic: of the same size.
        taxonomy: the classes that ``class_index`` counts.

    Raises:
        UserError: the sizes differ, the image is not uint8, or a class index is not in the taxonomy.
    """
    image = np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else np.ascontiguousarray(image[..., :3])
    drawn = overlay(image, panoptic, taxonomy)
    rows = segment_rows(panoptic)
    areas = np.bincount(rows.ravel(), minlength=len(panoptic.segments) + 1).tolist()
    size = _screen_size(panoptic.size)
    return LabelledImage(
        name,
        panoptic.size,
        _shrink(image, size),
        _shrink(drawn, size),
        fit_pixels(rows, size).astype(np.uint16),
        tuple(
            ShownSegment(segment.id, segment.class_index, segment.is_crowd, area)
            for segment, area in zip(panoptic.segments, areas[1:], strict=True)
        ),
        areas[0],
    )


def _screen_size(size: tuple[int, int]) -> tuple[int, int]:
    factor = min(1.0, LONGEST_SIDE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BOX))
