"""Encord: label rows as its export and its package write them, a JSON of one or of several, or a folder of such.

::

    root/*.json         images anywhere below root, or --images: by title, else by the hash of the data

Coordinates are parts of the image's width and height. Bitmasks are run lengths along the rows, in the code of COCO's
text, whose runs go down the columns. Polygons have parts and holes. The order is that of the file. Images and groups of
images are read; films and volumes are refused. What has no area is dropped.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Size
from pantile.labels.reading.only_json import own_jsons
from pantile.labels.reading.outlines import EDGES
from pantile.labels.reading.patches import place_patch
from pantile.labels.reading.paths_with_holes import paths_with_holes
from pantile.labels.reading.photo_index import PhotoIndex
from pantile.labels.reading.rasterise import (
    NO_PIXEL,
    TOO_FEW_POINTS,
    box_polygon,
    decode_counts,
    ellipse_polygon,
    mask_to_rle,
    union,
)
from pantile.labels.reading.tool_images import ToolImage, from_shapes, only_split, tool_split
from pantile.labels.reading.tool_shapes import mask_shape, polygon_shape, tool_taxonomy
from pantile.labels.registry import LabelReader, register_reader
from pantile.labels.source import Dropped, LabelSource, LeftOut, ReadOptions, Shape

MAX_SIDE = 2**20
FAR = 5  # beyond which a part of the image is a mistake
KINDS = ("image", "img_group")
DELETED = "deleted in the tool"


def _is_row(path: Path) -> bool:
    return all(json_has(path, "data_units", "object_answers", "label_hash"))


def _fits(src: Path) -> str | None:
    found = next((path for path in own_jsons(src) if _is_row(path)), None)
    return None if found is None else f"data_units and object_answers in {found.name}"


@register_reader("encord", options=(*LabelReader.options, "outline"), coordinates=True, fits=_fits)
def open_encord(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no label row of Encord, or one that is broken or of something else than images.
    """
    files = own_jsons(src)
    rows = [row for path in files if src.is_file() or _is_row(path) for row in _rows(path)]
    if not rows:
        raise UserError(f"{src} has no JSON with label rows of Encord: export the project's labels as JSON.")
    units = [unit for row in rows for unit in _units(row)]
    labels = [own.text("name") for unit in units for own in _objects(unit)]
    taxonomy, notes = tool_taxonomy(labels, src, options)
    photos = PhotoIndex(options.images or (src.parent if src.is_file() else src))
    images = [_image(unit, taxonomy, photos, options.outline or EDGES) for unit in units]
    split, more = tool_split(only_split(options), images, f"the label rows in {src} name", options)
    others = sum(not _is_row(path) for path in files)
    if others and not src.is_file():
        more = (*more, LeftOut("files", others, f"{others} JSONs are no label rows of Encord and were left out."))
    more = (*more, *photos.unlabelled(image.path for image in images))
    return LabelSource(taxonomy, (split,), (*notes, *more))


def _rows(path: Path) -> list[Fields]:
    data = read_json(path)
    rows = data if isinstance(data, list) else [data]
    return [Fields.of(row, f"{path}: label row {k}") for k, row in enumerate(rows)]


def _units(row: Fields) -> list[Fields]:
    """The images of a row."""
    kind = row.text("data_type")
    if kind.lower() not in KINDS or row.data.get("spaces"):
        raise UserError(f"{row.where} is of the type {kind!r}: only images and groups of images are read.")
    units = Fields.of(row.get("data_units", "an object"), f"{row.where}, data_units")
    return [Fields.of(unit, f"{units.where}: {key}") for key, unit in units.data.items()]


def _objects(unit: Fields) -> list[Fields]:
    """Of an image that nobody labelled, ``labels`` is empty."""
    labels = Fields.of(unit.get("labels", "an object"), f"{unit.where}, labels")
    return labels.objects("objects", "object") if labels.data else []


def _image(unit: Fields, taxonomy: Taxonomy, photos: PhotoIndex, outline: str) -> ToolImage:
    objects, title = _objects(unit), unit.text("data_title")
    path = photos.find(title, f"{unit.where}, data_title")
    if not path.exists() and "data_hash" in unit:  # the package's COCO export calls the files so
        hashed = photos.find(f"{unit.text('data_hash')}{PurePosixPath(title).suffix}", f"{unit.where}, data_hash")
        path = hashed if hashed.exists() else path
    size = (unit.whole("height", 1, MAX_SIDE), unit.whole("width", 1, MAX_SIDE))
    read = from_shapes(partial(_shapes, objects, taxonomy, outline))
    return ToolImage(path, photos.name_of(path), unit.where, read, len(objects), size)


def _shapes(objects: list[Fields], taxonomy: Taxonomy, outline: str, size: Size) -> Iterator[Shape | Dropped]:
    for own in objects:
        label = own.text("name")
        if own.data.get("isDeleted"):
            yield Dropped(label, DELETED, own.where)
        elif "bitmask" in own:
            yield mask_shape(mask_to_rle(_bitmask(own, size)), label, taxonomy, own.where, NO_PIXEL)
        elif "polygons" in own or "polygon" in own:
            yield _polygons(own, label, size, taxonomy, outline)
        else:
            points = _geometry(own, size)
            if points is None:
                kind = own.text("shape", default="unknown")
                yield Dropped(label, f"shape {kind!r} has no area", own.where)
            else:
                yield polygon_shape(points, size, label, taxonomy, own.where)


def _bitmask(own: Fields, size: Size) -> np.ndarray:
    """(H, W) bool."""
    mask = Fields.of(own.get("bitmask", "an object"), f"{own.where}, bitmask")
    top, left = (mask.whole(key, 0, MAX_SIDE, 0) for key in ("top", "left"))
    shape = (mask.whole("height", 1, MAX_SIDE), mask.whole("width", 1, MAX_SIDE))
    if top + shape[0] > size[0] or left + shape[1] > size[1]:
        raise UserError(
            f"{mask.where} is {shape[1]}x{shape[0]} pixels at column {left} and row {top}, beyond the "
            f"{size[1]}x{size[0]} image: export it anew."
        )
    counts = decode_counts(mask.text("rleString"), mask.where)
    if (counts < 0).any() or counts.sum() > shape[0] * shape[1]:
        raise UserError(f"{mask.where} has run lengths of more than its {shape[1]}x{shape[0]} pixels: export it anew.")
    pixels = np.zeros(shape[0] * shape[1], dtype=bool)
    pixels[: counts.sum()] = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return place_patch(pixels.reshape(shape), left, top, size)


def _polygons(own: Fields, label: str, size: Size, taxonomy: Taxonomy, outline: str) -> Shape | Dropped:
    """Parts, each an outline and its holes; older files have one outline alone."""
    parts = own.items("polygons") if "polygons" in own else [[_flat(own)]]
    masks = []
    for part in parts:
        rings = [_ring(ring, own, size) for ring in part] if isinstance(part, list) else []
        if rings and len(rings[0]) > 2:
            masks.append(paths_with_holes([ring for ring in rings if len(ring) > 2], size, own.where, outline))
    if not masks:
        return Dropped(label, TOO_FEW_POINTS, own.where)
    return mask_shape(union(masks), label, taxonomy, own.where, NO_PIXEL)


def _flat(own: Fields) -> list:
    """Of points by number, or in a list."""
    points = own.data["polygon"]
    rows = list(points.values()) if isinstance(points, dict) else points
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise own.wrong("polygon", "points with the numbers x and y")
    return [row.get(key) for row in rows for key in ("x", "y")]


def _ring(values: object, own: Fields, size: Size) -> list[tuple[float, float]]:
    if not isinstance(values, list) or len(values) % 2 or not all(map(is_number, values)):
        raise own.wrong("polygons", "lists of rings, each [x, y, x, y, ...]")
    return [(x * size[1], y * size[0]) for x, y in zip(values[::2], values[1::2], strict=True)]


def _geometry(own: Fields, size: Size) -> list[tuple[float, float]] | None:
    """Points of a box, an ellipse or a circle; angles are in degrees, clockwise, on the pixels."""
    height, width = size
    for key in ("boundingBox", "rotatableBoundingBox"):
        if key in own:
            x, y, w, h = _numbers(own, key, ("x", "y", "w", "h"))
            corners = (x * width, y * height, (x + w) * width, (y + h) * height)
            return box_polygon(*corners, _angle(own, key))
    if "ellipse" in own:
        x, y, rx, ry = _numbers(own, "ellipse", ("x", "y", "rx", "ry"))
        return ellipse_polygon(x * width, y * height, rx * width, ry * height, _angle(own, "ellipse"))
    if "circle" in own:
        x, y, radius = _numbers(own, "circle", ("x", "y", "r"))
        (stretch,) = _numbers(own, "circle", ("stretch",), 1.0)
        radius *= width
        return ellipse_polygon(x * width, y * height, radius, radius * stretch, _angle(own, "circle"))
    return None


def _angle(own: Fields, key: str) -> float:
    return _numbers(own, key, ("theta",), 0.0)[0]


def _numbers(own: Fields, key: str, names: tuple[str, ...], default: float | None = None) -> list[float]:
    """Parts of the image, and angles."""
    inner = Fields.of(own.get(key, "an object"), f"{own.where}, {key}")
    values = [inner.data.get(name, default) for name in names]
    reach = [math.inf if name == "theta" else FAR for name in names]
    if not all(map(is_number, values)) or any(abs(v) > far for v, far in zip(values, reach, strict=True)):
        raise own.wrong(key, f"the numbers {', '.join(names)}, parts of the image's width and height")
    return [float(value) for value in values]
