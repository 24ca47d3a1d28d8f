"""SuperAnnotate's vector projects: a JSON per image.

::

    root/**/<image>.json        images anywhere below root, or --images, by the name in ``metadata``

Coordinates are pixels. Instances of one class and one ``groupId`` are one segment. The order is that of the file.
Points, lines, templates and cuboids have no area and are dropped; pixel projects, whose masks are PNGs, are refused.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Size
from pantile.labels.reading.looking import files_of
from pantile.labels.reading.only_json import BESIDE
from pantile.labels.reading.outlines import EDGES
from pantile.labels.reading.paths_with_holes import paths_with_holes
from pantile.labels.reading.photo_index import PhotoIndex
from pantile.labels.reading.rasterise import NO_PIXEL, TOO_FEW_POINTS, box_polygon, ellipse_polygon
from pantile.labels.reading.tool_images import ToolImage, from_shapes, only_split, tool_split
from pantile.labels.reading.tool_shapes import mask_shape, polygon_shape, tool_taxonomy
from pantile.labels.registry import LabelReader, register_reader
from pantile.labels.source import Dropped, LabelSource, LeftOut, ReadOptions, Shape

MAX_SIDE = 2**20
NO_CLASS = "(no class)"
Points = list[tuple[float, float]]


def _is_image(path: Path) -> bool:
    return all(json_has(path, "instances", "metadata", "name"))


def _fits(src: Path) -> str | None:
    files = [src] if src.is_file() else files_of(src, ".json")
    found = next((path for path in files if _is_image(path)), None)
    return None if found is None else f"instances and metadata in {found.name}"


@register_reader("superannotate", options=(*LabelReader.options, "outline"), coordinates=True, fits=_fits)
def open_superannotate(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no JSON of a vector project, or one that is broken.
    """
    files = [src] if src.is_file() else sorted(path for path in src.rglob("*.json") if not path.name.startswith("."))
    files = [path for path in files if path.name not in BESIDE]
    tops = [Fields.of(read_json(path), str(path)) for path in files if src.is_file() or _is_image(path)]
    if not tops:
        raise UserError(f"{src} has no JSON with instances and metadata: export the vector project of SuperAnnotate.")
    instances = [top.objects("instances", "instance") for top in tops]
    labels = [own.text("className") for many in instances for own in many if "className" in own]
    taxonomy, notes = tool_taxonomy(labels, src, options)
    photos = PhotoIndex(options.images or (src.parent if src.is_file() else src))
    images = [_image(*pair, taxonomy, photos, options.outline or EDGES) for pair in zip(tops, instances, strict=True)]
    split, more = tool_split(only_split(options), images, f"the JSONs in {src} name", options)
    others = [path for path in files if not src.is_file() and not _is_image(path)]
    if others:
        text = f"{len(others)} JSONs have no instances and were left out, first {others[0]}."
        more = (*more, LeftOut("files", len(others), text))
    more = (*more, *photos.unlabelled(image.path for image in images))
    return LabelSource(taxonomy, (split,), (*notes, *more))


def _image(top: Fields, instances: list[Fields], taxonomy: Taxonomy, photos: PhotoIndex, outline: str) -> ToolImage:
    meta = Fields.of(top.get("metadata", "an object"), f"{top.where}, metadata")
    path = photos.find(meta.text("name"), f"{meta.where}, name")
    size = None
    if meta.data.get("height") and meta.data.get("width"):  # 0 where the package did not find the image
        size = (meta.whole("height", 1, MAX_SIDE), meta.whole("width", 1, MAX_SIDE))
    read = from_shapes(partial(_shapes, instances, taxonomy, outline))
    return ToolImage(path, photos.name_of(path), top.where, read, len(instances), size)


def _shapes(instances: list[Fields], taxonomy: Taxonomy, outline: str, size: Size) -> Iterator[Shape | Dropped]:
    for own in instances:
        label, group = own.text("className", default=NO_CLASS), own.whole("groupId", 0, 2**53, default=0) or None
        if "parts" in own:
            raise UserError(f"{own.where} is of a pixel project, whose masks are PNGs: export it as COCO instead.")
        kind = own.text("type")
        if kind == "polygon":
            yield _polygon(own, label, group, size, taxonomy, outline)
        elif kind in GEOMETRIES:
            yield polygon_shape(GEOMETRIES[kind](own), size, label, taxonomy, own.where, group)
        else:
            yield Dropped(label, f"shape type {kind!r} has no area", own.where)


def _polygon(
    own: Fields, label: str, group: int | None, size: Size, taxonomy: Taxonomy, outline: str
) -> Shape | Dropped:
    """An outline, and holes in ``exclude``."""
    exterior = _pairs(own.items("points"), own, "points")
    if len(exterior) < 3:
        return Dropped(label, TOO_FEW_POINTS, own.where)
    holes = [_pairs(hole, own, "exclude") for hole in own.items("exclude")] if "exclude" in own else []
    if not holes:
        return polygon_shape(exterior, size, label, taxonomy, own.where, group, outline=outline)
    mask = paths_with_holes([exterior, *(hole for hole in holes if len(hole) > 2)], size, own.where, outline)
    return mask_shape(mask, label, taxonomy, own.where, NO_PIXEL, group)


def _pairs(values: object, own: Fields, key: str) -> Points:
    if not isinstance(values, list) or len(values) % 2 or not all(map(is_number, values)):
        raise own.wrong(key, "numbers [x, y, x, y, ...]")
    return list(zip(values[::2], values[1::2], strict=True))


def _box(own: Fields) -> Points:
    x1, y1, x2, y2 = _numbers(Fields.of(own.get("points", "an object"), f"{own.where}, points"), "x1", "y1", "x2", "y2")
    return box_polygon(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _turned_box(own: Fields) -> Points:
    corners = Fields.of(own.get("points", "an object"), f"{own.where}, points")
    return [(x, y) for x, y in (_numbers(corners, f"x{k}", f"y{k}") for k in (1, 2, 3, 4))]


def _ellipse(own: Fields) -> Points:
    """The angle counts as degrees, clockwise; the package writes what it was given."""
    cx, cy, rx, ry = _numbers(own, "cx", "cy", "rx", "ry")
    angle = own.get("angle", "a number", 0)
    if not is_number(angle) or not all(0 <= radius < MAX_SIDE for radius in (rx, ry)):
        raise own.wrong("rx", "two radii and an angle")
    return ellipse_polygon(cx, cy, rx, ry, angle)


def _numbers(own: Fields, *names: str) -> list[float]:
    values = [own.get(name, "a number") for name in names]
    if not all(map(is_number, values)):
        raise own.wrong(names[0], f"the numbers {', '.join(names)}")
    return [float(value) for value in values]


GEOMETRIES = {"bbox": _box, "rbbox": _turned_box, "ellipse": _ellipse}
