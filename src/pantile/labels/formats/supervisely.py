"""Supervisely: a project of data sets, a JSON of objects per image, the last one on top.

::

    root/meta.json                          classes
    root/<data set>/ann/<image>.json        root/<data set>/img/<image>; data sets may hold others

Data sets called train, val or test are splits, all others are of ``train``. Polygons (with holes), multipolygons,
rectangles, bitmaps and alpha masks, whatever the shape of their class; objects of one class and one ``instance`` are
one segment. Points, lines, graphs and cuboids have no area and are dropped.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Evidence, Size
from pantile.labels.reading.beside import top_of, unlabelled
from pantile.labels.reading.class_list import classes_of, read_classes
from pantile.labels.reading.looking import files_of
from pantile.labels.reading.rasterise import NO_PIXEL, mask_to_rle
from pantile.labels.reading.split_names import by_split
from pantile.labels.reading.supervisely_geometry import GEOMETRIES, has_fractions
from pantile.labels.reading.tool_images import ToolImage, from_shapes, tool_split
from pantile.labels.reading.tool_shapes import mask_shape
from pantile.labels.registry import register_reader
from pantile.labels.source import Dropped, LabelSource, ReadOptions, Shape

MAX_SIDE = 2**20
OF_TOOL = (
    "Points have fractions, so they count as in the labeling tool, where the right and lower ends of boxes are "
    "outside; the package's own files have whole numbers, and ends that are inside."
)


def _fits(src: Path) -> str | None:
    if not all(json_has(src / "meta.json", "classes", "title")):
        return None
    return "classes in meta.json" if any(path.parent.name == "ann" for path in files_of(src, ".json")) else None


@register_reader("supervisely", coordinates=True, fits=_fits)
def open_supervisely(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no project of Supervisely, or one that is broken.
    """
    path = src / "meta.json"
    meta = Fields.of(read_json(path), str(path))
    taxonomy, notes = classes_of(_classes(meta, options), options.classes or path, options.things, options.stuff)
    files = sorted(own for own in src.rglob("*.json") if own.parent.name == "ann" and not own.name.startswith("."))
    if not files:
        raise UserError(f"{src} has no folder 'ann' with annotations: export the project in Supervisely's format.")
    fractions = any(has_fractions(_objects(own)) for own in files)
    splits, more, labelled = [], (OF_TOOL,) if fractions else (), []
    for name, own in by_split([(_data_set(path), path) for path in files], options.splits, str(src)).items():
        images = [_image(path, src, taxonomy, fractions, options.images) for path in own]
        split, told = tool_split(name, images, f"the annotations in {src} are of", options)
        splits.append(split)
        labelled += [image.path for image in split.images]
        more = (*more, *told)
    if not options.splits:
        folders = {(options.images or own.parent.parent / "img") for own in files}
        more = (*more, *unlabelled(folders, labelled, "have no annotations", top_of(src, options.images)))
    return LabelSource(taxonomy, tuple(splits), (*notes, *more))


def _classes(meta: Fields, options: ReadOptions) -> list[Fields]:
    if options.classes:
        return read_classes(options.classes)
    entries = meta.objects("classes", "class")
    rows = [{"id": k, "name": entry.text("title"), "color": _color(entry)} for k, entry in enumerate(entries, start=1)]
    return [Fields(row, entry.where) for row, entry in zip(rows, entries, strict=True)]


def _color(entry: Fields) -> list[int] | None:
    text = entry.text("color", default=None)
    if text is None:
        return None
    try:
        return list(bytes.fromhex(text.removeprefix("#")))
    except ValueError:
        raise entry.wrong("color", "a colour such as #C80000") from None


def _data_set(path: Path) -> str:
    return path.parent.parent.name


def _objects(path: Path) -> list[Fields]:
    return Fields.of(read_json(path), str(path)).objects("objects", "object")


def _image(path: Path, src: Path, taxonomy: Taxonomy, fractions: bool, images: Path | None) -> ToolImage:
    top = Fields.of(read_json(path), str(path))
    size = Fields.of(top.get("size", "height and width"), f"{path}, size")
    stated = (size.whole("height", 1, MAX_SIDE), size.whole("width", 1, MAX_SIDE))
    folder = path.parent.parent.relative_to(src)
    photo = (images or src) / folder / "img" / path.stem
    if images and not photo.exists():
        photo = images / path.stem
    name = (folder / path.stem).as_posix()
    read = from_shapes(partial(_shapes, path, taxonomy, fractions))
    count = len(top.items("objects"))
    return ToolImage(photo, name, str(path), read, count, stated, partial(_evidence, path))


def _evidence(path: Path) -> Evidence:
    rings = [(own.data.get("points"), own.where) for own in _objects(path)]
    outlines = [Fields(ring, where).points("exterior") for ring, where in rings if isinstance(ring, dict)]
    return Evidence(points=tuple(point for outline in outlines for point in outline))


def _shapes(path: Path, taxonomy: Taxonomy, fractions: bool, size: Size) -> Iterator[Shape | Dropped]:
    for object_ in _objects(path):
        label = object_.text("classTitle")
        kind = object_.text("geometryType" if "geometryType" in object_ else "shape")
        paint = GEOMETRIES.get(kind)
        if paint is None:
            yield Dropped(label, f"shape type {kind!r} has no area", object_.where)
            continue
        mask = mask_to_rle(paint(object_, size, fractions))
        group = object_.text("instance", default=None)
        yield mask_shape(mask, label, taxonomy, object_.where, NO_PIXEL, group)
