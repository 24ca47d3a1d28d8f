"""Label Studio's geometries: percent of an image's width and height to points or masks in pixels."""

import base64
import binascii
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number
from pantile.data.decoding import decoding
from pantile.labels.photos.label_frames import Size
from pantile.labels.reading.label_studio_rle import decode_brush
from pantile.labels.reading.rasterise import NO_PIXEL, ellipse_polygon, turned_about


def _polygon(value: Fields, size: Size) -> list[tuple[float, float]] | str:
    if value.flag("closed", True) is False:
        return "polygon that is not closed"
    return [(_side(x, size[1]), _side(y, size[0])) for x, y in value.points("points")]


def _rectangle(value: Fields, size: Size) -> list[tuple[float, float]]:
    """``x`` and ``y`` are the corner about which the box is turned, in pixels: percent would shear it."""
    left, top, width, height = _pixels(value, size, ("x", "y", "width", "height"))
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    return turned_about((left, top), corners, _number(value, "rotation", 0.0))


def _ellipse(value: Fields, size: Size) -> list[tuple[float, float]] | str:
    x, y, width, height = _pixels(value, size, ("x", "y", "radiusX", "radiusY"))
    if not all(0 < radius < 4 * max(size) for radius in (width, height)):
        return NO_PIXEL
    return ellipse_polygon(x, y, width, height, _number(value, "rotation", 0.0))


def _pixels(value: Fields, size: Size, keys: tuple[str, str, str, str]) -> list[float]:
    """Percent of the width, the height, the width and the height."""
    return [_side(_number(value, key), side) for key, side in zip(keys, (*size[::-1], *size[::-1]), strict=True)]


def _side(percent: float, side: int) -> float:
    """Without the last digits, in which 12.5 pixels may have become 12.499999999999998 on their way to percent."""
    return round(percent * side / 100, 6)


def _number(value: Fields, key: str, default: float | None = None) -> float:
    number = value.get(key, "a number") if default is None else value.get(key, "a number", default)
    if not is_number(number):
        raise value.wrong(key, "a number")
    return float(number)


def _brush(value: Fields, size: Size) -> np.ndarray:
    codes = value.items("rle")
    if not all(isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 255 for code in codes):
        raise value.wrong("rle", "a list of whole numbers from 0 to 255")
    return decode_brush(bytes(codes), size, f"{value.where}, rle")


def _bitmask(value: Fields, size: Size) -> np.ndarray:
    """A PNG in a data address: what is neither transparent nor black."""
    where = f"{value.where}, imageDataURL"
    try:
        content = base64.b64decode(value.text("imageDataURL").partition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise value.wrong("imageDataURL", "a PNG in base64") from None
    with decoding(where), Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGBA"))
    if pixels.shape[:2] != size:
        height, width = pixels.shape[:2]
        raise UserError(f"{where} is {width}x{height} pixels, its image {size[1]}x{size[0]}: export it anew.")
    return (pixels[..., 3] > 0) & (pixels[..., :3] > 0).any(axis=-1)


#: what the tool calls geometries, to points or masks of an image of a size, or why there is none
GEOMETRIES: dict[str, Callable[[Fields, Size], Any]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "ellipse": _ellipse,
    "brush": _brush,
    "bitmask": _bitmask,
}
