"""CVAT for images 1.1: one XML with polygons, boxes, masks and ellipses.

::

    root/annotations.xml        or the XML itself as the source
    root/images/<name>          or root/images/<subset>/<name>, root/<subset>/<name>, root/<name>

An image's ``subset`` is its split, else ``train``. Shapes of one label and one ``group_id`` are one segment.
The order that ``last-on-top`` goes by is ``z_order``, then the file's. Polylines, points, cuboids, skeletons and tags
have no area and are dropped.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, path_inside
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Evidence, LabelFrames
from pantile.labels.reading.beside import top_of, unlabelled
from pantile.labels.reading.image_folders import choose_splits
from pantile.labels.reading.looking import head
from pantile.labels.reading.missing import present
from pantile.labels.reading.rasterise import NO_PIXEL, box_polygon, ellipse_polygon, mask_to_rle
from pantile.labels.reading.safe_xml import read_xml
from pantile.labels.reading.tool_shapes import mask_shape, polygon_shape, sort_out, tool_taxonomy
from pantile.labels.registry import LabelReader, register_reader
from pantile.labels.source import (
    Dropped,
    ImageLabels,
    LabelSource,
    LeftOut,
    Note,
    ReadOptions,
    Shape,
    SourceImage,
    SourceSplit,
)

MAX_SIDE = 2**20
SHAPES = ("polygon", "box", "mask", "ellipse")


def _fits(src: Path) -> str | None:
    path = src if src.is_file() else src / "annotations.xml"
    start = head(path) if path.suffix.lower() == ".xml" else ""
    return f"annotations with images in {path.name}" if "<annotations" in start and "<image " in start else None


@register_reader("cvat", options=(*LabelReader.options, "outline"), coordinates=True, fits=_fits)
def open_cvat(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no XML, or one that is not CVAT's.
    """
    path = src if src.is_file() else src / "annotations.xml"
    top = read_xml(path)
    if top.tag != "annotations":
        raise UserError(f"{path} begins with <{top.tag}>, not <annotations>: export it as CVAT for images 1.1.")
    entries = top.findall("image")
    if not entries:
        raise UserError(f"{path} has no <image>: export it as CVAT for images 1.1 (videos have <track> instead).")
    declared = [name.text.strip() for name in top.iterfind("meta//label/name") if name.text and name.text.strip()]
    used = [shape.get("label", "") for entry in entries for shape in entry]
    taxonomy, notes = tool_taxonomy(dict.fromkeys([*declared, *filter(None, used)]), path, options)
    by_split = defaultdict(list)
    for entry in entries:
        by_split[_Attributes(entry, f"{path}: image").text("subset", default="train")].append(entry)
    found = choose_splits(dict(by_split), options.splits, src)
    opened = [_split(path, split, own, taxonomy, options) for split, own in found.items()]
    splits = tuple(split for split, _ in opened)
    notes = (*notes, *(note for _, own in opened for note in own))
    if tracks := len(top.findall("track")):
        text = f"{tracks} tracks of videos beside the images were left out: export them as an image format."
        notes = (*notes, LeftOut("annotations", tracks, text))
    if not options.splits:
        labelled = [image.path for split in splits for image in split.images]
        folders, top = {own.parent for own in labelled}, top_of(src, options.images)
        notes = (*notes, *unlabelled(folders, labelled, f"are not in {path.name}", top))
    return LabelSource(taxonomy, splits, notes)


class _Attributes:
    """An element's attributes with the checks of ``Fields``; all are text in XML."""

    def __init__(self, element: Element, where: str) -> None:
        self.fields = Fields(dict(element.attrib), where)
        self.where = where

    def text(self, key: str, default: str | None = None) -> str:
        return self.fields.text(key) if default is None else self.fields.text(key, default)

    def number(self, key: str, default: float | None = None) -> float:
        if default is not None and key not in self.fields:
            return default
        try:
            value = float(self.fields.text(key))
        except ValueError:
            raise self.fields.wrong(key, "a number") from None
        if not is_number(value):
            raise self.fields.wrong(key, "a number")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.number(key, default)
        if value != int(value):
            raise self.fields.wrong(key, "a whole number")
        return int(value)


def _split(
    path: Path, split: str, entries: list[Element], taxonomy: Taxonomy, options: ReadOptions
) -> tuple[SourceSplit, tuple[Note, ...]]:
    """The split, and notes."""
    found, seen = [], {}
    for position, entry in enumerate(entries):
        attributes = _Attributes(entry, f"{path}: image {entry.get('name') or position}")
        image_id = attributes.whole("id")
        if seen.setdefault(image_id, entry) is not entry:
            raise UserError(f"{attributes.where} has the id {image_id} of another image: make the ids unique.")
        name = attributes.text("name")
        found.append(SourceImage(_image_path(path, split, name, attributes.where, options.images), name, image_id))
    paths, what = [image.path for image in found], f"images that {path} names"
    kept, notes = present(paths, what, options.skip_missing, lambda k: len(entries[k]))
    entries, found = [entries[k] for k in kept], [found[k] for k in kept]

    paths = [image.path for image in found]
    stated, evidence = partial(_stated, path, entries), partial(_evidence, path, entries)
    frames = LabelFrames(paths, stated, evidence, options.orientation)

    def read(index: int) -> ImageLabels:
        entry, image = entries[index], found[index]
        attributes = _Attributes(entry, f"{path}: image {image.name}")
        framed = frames.find(index, attributes.where)
        named = [(shape, _Attributes(shape, f"{attributes.where}: {shape.tag} {n}")) for n, shape in enumerate(entry)]
        named.sort(key=lambda pair: pair[1].whole("z_order", 0))
        shapes, dropped = sort_out(
            _shape(shape.tag, own, framed.size, taxonomy, options.outline) for shape, own in named
        )
        return ImageLabels(framed.size, shapes, dropped=dropped, framed=framed)

    return SourceSplit(split, tuple(found), read), notes


def _stated(path: Path, entries: list[Element], index: int) -> tuple[int, int]:
    top = _Attributes(entries[index], f"{path}: image {entries[index].get('name')}")
    return top.whole("height"), top.whole("width")


def _evidence(path: Path, entries: list[Element], index: int) -> Evidence:
    """Boxes that are turned are left out: their corners may lie outside of the picture."""
    points: list[tuple[float, float]] = []
    for n, shape in enumerate(entries[index]):
        own = _Attributes(shape, f"{path}: image {entries[index].get('name')}: {shape.tag} {n}")
        if shape.tag == "polygon":
            points += _points(own)
        elif shape.tag == "box" and not own.number("rotation", 0.0):
            points += [(own.number("xtl"), own.number("ytl")), (own.number("xbr"), own.number("ybr"))]
        elif shape.tag == "mask":
            points.append((own.number("left") + own.number("width"), own.number("top") + own.number("height")))
    return Evidence(points=tuple(points))


def _image_path(path: Path, split: str, name: str, where: str, images: Path | None) -> Path:
    root = path.parent
    places = [images] if images else [root / "images" / split, root / "images", root / split, root]
    candidates = [path_inside(place, name, f"{where}, name") for place in places]
    return next((candidate for candidate in candidates if candidate.exists()), None) or next(
        (candidate for candidate in candidates if candidate.parent.is_dir()), candidates[-1]
    )


def _shape(
    tag: str, own: _Attributes, size: tuple[int, int], taxonomy: Taxonomy, outline: str | None
) -> Shape | Dropped:
    label = own.text("label")
    if tag not in SHAPES:
        return Dropped(label, f"shape type {tag!r} has no area", own.where)
    group = own.whole("group_id", 0) or None
    if tag == "mask":
        return mask_shape(_mask(own, size), label, taxonomy, own.where, NO_PIXEL, group)
    if tag == "box":
        box = (own.number("xtl"), own.number("ytl"), own.number("xbr"), own.number("ybr"))
        points = box_polygon(*box, own.number("rotation", 0.0))
    elif tag == "ellipse":
        ellipse = (own.number("cx"), own.number("cy"), own.number("rx"), own.number("ry"))
        if not all(0 < radius < 4 * max(size) for radius in ellipse[2:]):
            return Dropped(label, NO_PIXEL, own.where)
        points = ellipse_polygon(*ellipse, own.number("rotation", 0.0))
    else:
        points = _points(own)
    drawn = outline if tag == "polygon" else None
    return polygon_shape(points, size, label, taxonomy, own.where, group, outline=drawn)


def _points(own: _Attributes) -> list[tuple[float, float]]:
    wanted = "pairs of numbers x,y;x,y;..."
    try:
        points = [tuple(map(float, pair.split(","))) for pair in own.text("points").split(";")]
    except ValueError:
        raise own.fields.wrong("points", wanted) from None
    if not all(len(point) == 2 and all(map(is_number, point)) for point in points):
        raise own.fields.wrong("points", wanted)
    return points


def _mask(own: _Attributes, size: tuple[int, int]) -> dict:
    """Run lengths of a box, along its rows, background first."""
    left, top, width, height = (own.whole(key) for key in ("left", "top", "width", "height"))
    if left < 0 or top < 0 or not 0 < width <= size[1] - left or not 0 < height <= size[0] - top:
        raise UserError(
            f"{own.where} has the box left {left}, top {top}, width {width}, height {height}, which is not inside the "
            f"{size[1]}x{size[0]} image: correct it."
        )
    try:
        counts = np.array([int(run) for run in own.text("rle").split(",")], dtype=np.int64)
    except (ValueError, OverflowError):
        raise own.fields.wrong("rle", "whole numbers with commas between them") from None
    if (counts < 0).any() or (counts > width * height).any() or counts.sum() != width * height:
        raise UserError(f"{own.where}: the field 'rle' does not add up to its {width}x{height} box: export it anew.")
    mask = np.zeros(size, dtype=bool)
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    mask[top : top + height, left : left + width] = inside
    return mask_to_rle(mask)
