"""datumaro's own JSON: one per subset, with the annotations of each of its images.

::

    root/annotations/<subset>.json      or the JSON itself as the source
    root/images/<subset>/<path>         or anywhere below root, or --images

Annotations of one label and one ``group`` other than 0 are one segment; ``is_crowd`` is an attribute. The order is
``z_order``, then the file's. Lines, points and labels of whole images have no area and are dropped.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Evidence, Size
from pantile.labels.reading.class_list import classes_of, named_classes, read_classes, without_background
from pantile.labels.reading.coco_masks import mask_of
from pantile.labels.reading.photo_index import PhotoIndex
from pantile.labels.reading.rasterise import NO_PIXEL, box_polygon, ellipse_polygon
from pantile.labels.reading.split_names import by_split
from pantile.labels.reading.tool_images import ToolImage, from_shapes, tool_split
from pantile.labels.reading.tool_shapes import mask_shape, polygon_shape
from pantile.labels.registry import register_reader
from pantile.labels.source import Dropped, LabelSource, LeftOut, ReadOptions, Shape

MAX_SIDE = 2**20
MAX_NUMBER = 2**31


def _fits(src: Path) -> str | None:
    files = [src] if src.is_file() else sorted((src / "annotations").glob("*.json"))
    found = next((path for path in files if all(json_has(path, "categories", "items", "label"))), None)
    return None if found is None else f"items and categories in {found.name}"


@register_reader("datumaro", coordinates=True, fits=_fits)
def open_datumaro(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no JSON of datumaro, or one that is broken.
    """
    files = [src] if src.is_file() else sorted((src / "annotations").glob("*.json"))
    if not files:
        raise UserError(f"{src} has no annotations/*.json: export the data set in datumaro's format.")
    root = src.parent.parent if src.is_file() and src.parent.name == "annotations" else src
    tops = [(path.stem, Fields.of(read_json(path), str(path))) for path in files]
    names = [_names(top) for _, top in tops]
    for own, (_, top) in zip(names, tops, strict=True):
        if own != names[0]:
            raise UserError(f"{top.where} has other labels than {tops[0][1].where}: export all subsets at once.")
    rows = read_classes(options.classes) if options.classes else named_classes(names[0], str(files[0]), first_id=0)
    taxonomy, notes = classes_of(without_background(rows), options.classes or files[0], options.things, options.stuff)
    if not options.classes and len(taxonomy) < len(names[0]):
        notes = (*notes, LeftOut("classes", 1, f"Taken as void, by its name: {names[0][0]}."))
    photos = PhotoIndex(options.images or (root if root.is_dir() else root.parent))
    splits, labelled = [], []
    for split, own in by_split(tops, options.splits, str(src)).items():
        items = [(top, item) for top in own for item in top.objects("items", "item")]
        images = [_image(Path(top.where).stem, item, names[0], taxonomy, photos) for top, item in items]
        made, more = tool_split(split, images, f"{src} names", options)
        splits.append(made)
        labelled += [image.path for image in images]
        notes = (*notes, *more)
    if not options.splits and not src.is_file():
        notes = (*notes, *photos.unlabelled(labelled))
    return LabelSource(taxonomy, tuple(splits), notes)


def _names(top: Fields) -> list[str]:
    categories = Fields.of(top.get("categories", "an object"), f"{top.where}, categories")
    labels = Fields.of(categories.get("label", "an object"), f"{categories.where}, label")
    return [own.text("name") for own in labels.objects("labels", "label")]


def _image(subset: str, item: Fields, names: list[str], taxonomy: Taxonomy, photos: PhotoIndex) -> ToolImage:
    if not isinstance(item.data.get("image"), dict):
        raise UserError(f"{item.where} has no 'image': only data sets of images are read.")
    image = Fields(item.data["image"], f"{item.where}, image")
    path = photos.find(f"{subset}/{image.text('path')}", f"{image.where}, path")
    annotations = item.objects("annotations", "annotation")
    read = from_shapes(partial(_shapes, annotations, names, taxonomy))
    evidence, count = partial(_evidence, annotations), len(annotations)
    return ToolImage(path, photos.name_of(path), item.where, read, count, _size(image), evidence)


def _size(image: Fields) -> Size | None:
    if "size" not in image:
        return None
    size = image.items("size")
    if len(size) != 2 or not all(isinstance(n, int) and 0 < n <= MAX_SIDE for n in size):
        raise image.wrong("size", "[height, width]")
    return size[0], size[1]


def _evidence(annotations: list[Fields]) -> Evidence:
    flat = [own.data["points"] for own in annotations if own.data.get("type") == "polygon" and "points" in own]
    pairs = [zip(values[::2], values[1::2], strict=True) for values in flat if _are_pairs(values)]
    return Evidence(points=tuple(point for own in pairs for point in own))


def _are_pairs(values: Any) -> bool:
    return isinstance(values, list) and len(values) % 2 == 0 and all(map(is_number, values))


def _shapes(annotations: list[Fields], names: list[str], taxonomy: Taxonomy, size: Size) -> Iterator[Shape | Dropped]:
    for own in sorted(annotations, key=lambda own: own.whole("z_order", -MAX_NUMBER, MAX_NUMBER, default=0)):
        number = own.whole("label_id", 0, MAX_NUMBER, default=None)
        label = names[number] if number is not None and number < len(names) else f"label {number}"
        kind = own.text("type")
        paint = PAINTERS.get(kind)
        if paint is None:
            yield Dropped(label, f"annotation type {kind!r} has no area", own.where)
            continue
        shape = paint(own, size, label, taxonomy, own.whole("group", 0, MAX_NUMBER, default=0) or None)
        attributes = Fields.of(own.data.get("attributes") or {}, f"{own.where}, attributes")
        if isinstance(shape, Shape) and attributes.flag("is_crowd", False):
            shape = replace(shape, is_crowd=True)
        yield shape


Found = Shape | Dropped


def _mask(own: Fields, size: Size, label: str, taxonomy: Taxonomy, group: int | None) -> Found:
    own.get("rle", "run lengths with size and counts")
    mask = mask_of(Fields({"segmentation": own.data["rle"]}, own.where), size)
    if isinstance(mask, str):
        return Dropped(label, mask, own.where)
    return mask_shape(mask, label, taxonomy, own.where, NO_PIXEL, group)


def _polygon(own: Fields, size: Size, label: str, taxonomy: Taxonomy, group: int | None) -> Found:
    flat = own.items("points")
    if not _are_pairs(flat):
        raise own.wrong("points", "pairs of numbers [x, y, x, y, ...]")
    points = list(zip(flat[::2], flat[1::2], strict=True))
    return polygon_shape(points, size, label, taxonomy, own.where, group)


def _box(own: Fields, size: Size, label: str, taxonomy: Taxonomy, group: int | None) -> Found:
    left, top, width, height = _numbers(own, "bbox", 4)
    corners = box_polygon(left, top, left + width, top + height)
    return polygon_shape(corners, size, label, taxonomy, own.where, group)


def _ellipse(own: Fields, size: Size, label: str, taxonomy: Taxonomy, group: int | None) -> Found:
    """The corners of its box."""
    left, top, right, bottom = _numbers(own, "points", 4)
    radii = (right - left) / 2, (bottom - top) / 2
    if not all(0 < radius < 4 * max(size) for radius in radii):
        return Dropped(label, NO_PIXEL, own.where)
    points = ellipse_polygon((left + right) / 2, (top + bottom) / 2, *radii)
    return polygon_shape(points, size, label, taxonomy, own.where, group)


def _numbers(own: Fields, key: str, count: int) -> list[float]:
    values = own.items(key)
    if len(values) != count or not all(map(is_number, values)):
        raise own.wrong(key, f"{count} numbers")
    return values


PAINTERS: dict[str, Callable[[Fields, Size, str, Taxonomy, int | None], Found]] = {
    "mask": _mask,
    "polygon": _polygon,
    "bbox": _box,
    "ellipse": _ellipse,
}
