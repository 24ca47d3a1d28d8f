"""V7 Darwin 2.0: a JSON per item, with polygons of several paths, boxes, ellipses, and masks in a raster layer.

::

    root/**/*.json      images anywhere below root, or --images

Paths within paths are holes. Masks are instances, whose pixels the raster layer has by number. The order is that of the
file; the package itself draws so. Items of several slots, and videos, are refused; what has no area is dropped.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Evidence, Size
from pantile.labels.reading.looking import files_of
from pantile.labels.reading.only_json import BESIDE
from pantile.labels.reading.outlines import EDGES
from pantile.labels.reading.paths_with_holes import paths_with_holes
from pantile.labels.reading.photo_index import PhotoIndex
from pantile.labels.reading.rasterise import (
    NO_PIXEL,
    TOO_FEW_POINTS,
    box_polygon,
    ellipse_polygon,
    mask_to_rle,
)
from pantile.labels.reading.tool_images import ToolImage, from_shapes, only_split, tool_split
from pantile.labels.reading.tool_shapes import mask_shape, polygon_shape, tool_taxonomy
from pantile.labels.registry import LabelReader, register_reader
from pantile.labels.source import Dropped, LabelSource, LeftOut, ReadOptions, Shape

MAX_SIDE = 2**20
LAYER = "raster_layer"
NOT_SHAPES = {"id", "name", "slot_names", "properties", "ranges", "annotators", "reviewers", "attributes", "text",
              "instance_id", "directional_vector", "inference", "only_keyframes"}  # fmt: skip


def _fits(src: Path) -> str | None:
    files = [src] if src.is_file() else files_of(src, ".json")
    found = next((path for path in files if all(json_has(path, "item", "slots", "annotations"))), None)
    return None if found is None else f"an item with slots in {found.name}"


@register_reader("darwin", options=(*LabelReader.options, "outline"), coordinates=True, fits=_fits)
def open_darwin(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no JSON of Darwin 2.0, or one that is broken.
    """
    files = [src] if src.is_file() else sorted(path for path in src.rglob("*.json") if not path.name.startswith("."))
    tops = [(path, read_json(path)) for path in files if path.name not in BESIDE]
    items = [Fields(data, str(path)) for path, data in tops if isinstance(data, dict) and "item" in data]
    if not items:
        raise UserError(f"{src} has no JSON with an item of Darwin: export the data set as Darwin JSON 2.0.")
    annotations = [item.objects("annotations", "annotation") for item in items]
    labels = [own.text("name") for many in annotations for own in many if LAYER not in own]
    taxonomy, notes = tool_taxonomy(labels, src, options)
    photos = PhotoIndex(options.images or (src.parent if src.is_file() else src))
    images = [_image(*pair, taxonomy, photos, options.outline) for pair in zip(items, annotations, strict=True)]
    split, more = tool_split(only_split(options), images, f"the items in {src} name", options)
    others = len(tops) - len(items)
    if others:
        more = (*more, LeftOut("files", others, f"{others} JSONs are no items of Darwin and were left out."))
    more = (*more, *photos.unlabelled(image.path for image in images))
    return LabelSource(taxonomy, (split,), (*notes, *more))


def _image(
    item: Fields, annotations: list[Fields], taxonomy: Taxonomy, photos: PhotoIndex, outline: str | None
) -> ToolImage:
    told = Fields.of(item.get("item", "an object"), f"{item.where}, item")
    slots = told.objects("slots", "slot")
    if len(slots) != 1 or slots[0].data.get("type") not in ("image", None):
        raise UserError(f"{told.where} is no single image: only items of one slot with an image are read.")
    folder = told.text("path", default="/").strip("/")
    path = photos.find(f"{folder}/{told.text('name')}" if folder else told.text("name"), f"{told.where}, name")
    stated = None
    if "width" in slots[0]:
        stated = (slots[0].whole("height", 1, MAX_SIDE), slots[0].whole("width", 1, MAX_SIDE))
    read = from_shapes(partial(_shapes, annotations, taxonomy, outline or EDGES))
    count = sum(LAYER not in own for own in annotations)
    evidence = partial(_evidence, annotations)
    return ToolImage(path, photos.name_of(path), item.where, read, count, stated, evidence)


def _evidence(annotations: list[Fields]) -> Evidence:
    polygons = [own for own in annotations if "polygon" in own]
    return Evidence(points=tuple(point for own in polygons for path in _paths(own) for point in path))


def _shapes(annotations: list[Fields], taxonomy: Taxonomy, outline: str, size: Size) -> Iterator[Shape | Dropped]:
    layers = [own for own in annotations if LAYER in own]
    numbers, number_of = _layer(layers[0], size) if layers else (np.zeros(size, dtype=np.int64), {})
    if len(layers) > 1:
        raise UserError(f"{layers[1].where} is a second raster layer of an item: export it anew.")
    for own in annotations:
        label, where = own.text("name"), own.where
        if LAYER in own:
            continue
        if "mask" in own:
            mask = numbers == number_of.get(own.text("id"), -1)
            yield mask_shape(mask_to_rle(mask), label, taxonomy, where, NO_PIXEL)
        elif "polygon" in own:
            paths = [path for path in _paths(own) if len(path) > 2]
            if not paths:
                yield Dropped(label, TOO_FEW_POINTS, where)
                continue
            yield mask_shape(paths_with_holes(paths, size, where, outline), label, taxonomy, where, NO_PIXEL)
        elif "ellipse" in own:
            yield _ellipse(own, label, size, taxonomy)
        elif "bounding_box" in own:
            left, top, width, height = _numbers(own, "bounding_box", ("x", "y", "w", "h"))
            corners = box_polygon(left, top, left + width, top + height)
            yield polygon_shape(corners, size, label, taxonomy, where)
        else:
            kind = next((key for key in own.data if key not in NOT_SHAPES), "annotation")
            yield Dropped(label, f"annotation type {kind!r} has no area", where)


def _paths(own: Fields) -> list[list[tuple[float, float]]]:
    """Points of each path; files before version 2 have one ``path``."""
    polygon = Fields.of(own.get("polygon", "an object"), f"{own.where}, polygon")
    paths = polygon.items("paths") if "paths" in polygon else [polygon.items("path")]
    if not all(isinstance(path, list) for path in paths):
        raise polygon.wrong("paths", "lists of points")
    return [[_point(point, polygon) for point in path] for path in paths]


def _point(point: object, polygon: Fields) -> tuple[float, float]:
    if not isinstance(point, dict) or not (is_number(point.get("x")) and is_number(point.get("y"))):
        raise polygon.wrong("paths", "points with the numbers x and y")
    return float(point["x"]), float(point["y"])


def _ellipse(own: Fields, label: str, size: Size, taxonomy: Taxonomy) -> Shape | Dropped:
    """The angle is in radians."""
    ellipse = Fields.of(own.get("ellipse", "an object"), f"{own.where}, ellipse")
    cx, cy = _numbers(ellipse, "center", ("x", "y"))
    rx, ry = _numbers(ellipse, "radius", ("x", "y"))
    if not all(0 < radius < 4 * max(size) for radius in (rx, ry)):
        return Dropped(label, NO_PIXEL, own.where)
    angle = ellipse.get("angle", "a number", 0.0)
    if not is_number(angle):
        raise ellipse.wrong("angle", "a number")
    points = ellipse_polygon(cx, cy, rx, ry, float(np.degrees(angle)))
    return polygon_shape(points, size, label, taxonomy, own.where)


def _numbers(own: Fields, key: str, names: tuple[str, ...]) -> list[float]:
    inner = Fields.of(own.get(key, "an object"), f"{own.where}, {key}")
    values = [inner.get(name, "a number") for name in names]
    if not all(map(is_number, values)):
        raise own.wrong(key, f"the numbers {', '.join(names)}")
    return [float(value) for value in values]


def _layer(annotation: Fields, size: Size) -> tuple[np.ndarray, dict[str, int]]:
    """Numbers of pixels, (H, W), and the number of each mask by its id. Runs go along the rows: number, length, ..."""
    layer = Fields.of(annotation.get(LAYER, "an object"), f"{annotation.where}, {LAYER}")
    runs = layer.items("dense_rle")
    if len(runs) % 2 or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31 for n in runs):
        raise layer.wrong("dense_rle", "pairs of whole numbers, a mask's number and a length")
    lengths = np.array(runs[1::2], dtype=np.int64)
    if lengths.sum() != size[0] * size[1]:
        raise UserError(
            f"{layer.where}: dense_rle adds up to {lengths.sum()} pixels, not to the {size[0] * size[1]} of the "
            f"{size[1]}x{size[0]} image: export it anew."
        )
    mapping = Fields.of(layer.get("mask_annotation_ids_mapping", "an object"), f"{layer.where}, mapping")
    numbers = {key: mapping.whole(key, 1, 2**31) for key in mapping.data}
    return np.repeat(np.array(runs[::2], dtype=np.int64), lengths).reshape(size), numbers
