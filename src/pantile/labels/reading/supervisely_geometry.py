"""Supervisely's geometries, as its package paints them.

There are two counts of coordinates. Files of the package have whole numbers, the columns and rows of pixels: a box
ends with the last pixel inside. The labeling tool counts from the edges of pixels: a box ends before the first pixel
outside, and a point lies anywhere within its pixel. The package turns one into the other on its way to and from the
server.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields
from pantile.labels.photos.label_frames import Size
from pantile.labels.reading.patches import decode_mask_image, place_patch
from pantile.labels.reading.pixel_polygons import fill_with_outline
from pantile.labels.reading.rasterise import MAX_BEYOND

Points = list[tuple[float, float]]
_OUTER = 0.3  # of a pixel: as much must a box cover to have it


def has_fractions(objects: Iterable[Fields]) -> bool:
    """Whether any point is not a whole number, as only the labeling tool has them."""
    return any(_has_fraction(own.data.get(key)) for own in objects for key in ("points", "parts"))


def _has_fraction(value: Any) -> bool:
    if isinstance(value, float):
        return value % 1 != 0
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_has_fraction, items))


def _polygon(object_: Fields, size: Size, fractions: bool) -> np.ndarray:
    return _rings(Fields.of(object_.get("points", "an object"), f"{object_.where}, points"), size)


def _multipolygon(object_: Fields, size: Size, fractions: bool) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    for part in object_.objects("parts", "part"):
        mask |= _rings(part, size)
    return mask


def _rings(rings: Fields, size: Size) -> np.ndarray:
    exterior = _near(rings.points("exterior"), size, rings.where)
    interiors = rings.items("interior") if "interior" in rings else []
    holes = [Fields({"hole": hole}, rings.where).points("hole") for hole in interiors]
    if not exterior:
        return np.zeros(size, dtype=bool)
    holes = [_pixels(_near(hole, size, rings.where), size) for hole in holes if hole]
    return fill_with_outline(_pixels(exterior, size), holes, size)


def _pixels(points: Points, size: Size) -> list[tuple[int, int]]:
    """The pixel that a point is in; the outer edges of an image belong to the last ones."""
    height, width = size
    return [(math.floor(x) - (x == width), math.floor(y) - (y == height)) for x, y in points]


def _rectangle(object_: Fields, size: Size, fractions: bool) -> np.ndarray:
    where = f"{object_.where}, points"
    corners = Fields.of(object_.get("points", "an object"), where).points("exterior")
    if len(corners) != 2:
        raise UserError(f"{where} has {len(corners)} points, not the two corners of a rectangle: correct it.")
    (left, right), (top, bottom) = (sorted(values) for values in zip(*_near(corners, size, where), strict=True))
    if fractions:
        left, right, top, bottom = *_covered(left, right), *_covered(top, bottom)
    mask = np.zeros(size, dtype=bool)
    mask[max(int(top), 0) : max(int(bottom) + 1, 0), max(int(left), 0) : max(int(right) + 1, 0)] = True
    return mask


def _covered(first: float, last: float) -> tuple[int, int]:
    """The first and last pixel of which a side of a box covers enough."""
    start = math.ceil(first) if first % 1 >= 1 - _OUTER else math.floor(first)
    end = math.ceil(last) if last % 1 >= _OUTER else math.floor(last)
    return start, max(start, end - 1)


def _bitmap(object_: Fields, size: Size, fractions: bool) -> np.ndarray:
    bitmap = Fields.of(object_.get("bitmap", "an object"), f"{object_.where}, bitmap")
    origin = Fields({"origin": [bitmap.get("origin", "a pair of numbers")]}, bitmap.where).points("origin")
    ((x, y),) = _near(origin, size, bitmap.where)
    patch = decode_mask_image(bitmap.text("data"), f"{bitmap.where}, data")
    return place_patch(patch, math.floor(x), math.floor(y), size)


def _near(points: Points, size: Size, where: str) -> Points:
    """
    Raises:
        UserError: a point absurdly far away, whose outline would take minutes.
    """
    reach = MAX_BEYOND * max(size)
    for x, y in points:
        if not (-reach <= x <= size[1] + reach and -reach <= y <= size[0] + reach):
            raise UserError(f"{where} has the point ({x:g}, {y:g}), far outside of the image: correct it.")
    return points


#: geometry to (object, (height, width), whether points have fractions) -> (H, W) bool
GEOMETRIES: dict[str, Callable[[Fields, Size, bool], np.ndarray]] = {
    "polygon": _polygon,
    "multipolygon": _multipolygon,
    "rectangle": _rectangle,
    "bitmap": _bitmap,
    "alpha_mask": _bitmap,
}
