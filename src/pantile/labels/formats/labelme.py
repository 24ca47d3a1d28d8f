"""labelme: a JSON per image, with polygons, rectangles, circles and masks. X-AnyLabeling and AnyLabeling write it too.

::

    root/**/*.json      imagePath is relative to the JSON; images must lie inside root, or beside the JSON, else
                        imageData of the JSON is the image

Shapes of one label and one ``group_id`` are one segment. Points, lines and linestrips have no area and are dropped.
``__ignore__`` and ``_background_`` are void, as labelme's own exports take them.
Folders of images for splits: the first folder below root where ``--split`` names it, else one split, ``train``.
"""

import base64
import binascii
import io
import math
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, path_inside, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.decoding import decoding
from pantile.labels.photos.label_frames import Evidence, LabelFrames
from pantile.labels.reading.beside import unlabelled
from pantile.labels.reading.image_folders import image_ids
from pantile.labels.reading.looking import files_of
from pantile.labels.reading.missing import present
from pantile.labels.reading.only_json import BESIDE
from pantile.labels.reading.rasterise import NO_PIXEL, OUTSIDE, box_polygon, ellipse_polygon, mask_to_rle
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
VOID_LABELS = ("__ignore__", "_background_")
#: shape types that come as two points; a rectangle may also have its four corners, as X-AnyLabeling writes it
OF_TWO_POINTS = ("rectangle", "circle", "mask")
OF_CORNERS = ("polygon", "rotation", "oriented_rectangle")


def _fits(src: Path) -> str | None:
    found = next((path for path in files_of(src, ".json") if all(json_has(path, "shapes", "imagePath"))), None)
    return None if found is None else f"shapes and imagePath in {found.name}"


@register_reader("labelme", options=(*LabelReader.options, "outline"), coordinates=True, fits=_fits)
def open_labelme(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no JSON of labelme, or one that is broken.
    """
    places = {split: src / split for split in options.splits}
    if not options.splits or (len(places) == 1 and not src.joinpath(options.splits[0]).is_dir()):
        places = {options.splits[0] if options.splits else "train": src}
    files = {split: _read_all(folder) for split, folder in places.items()}
    others = [path for own in files.values() for path in own.others]
    files = {split: own.labels for split, own in files.items()}
    labels = [shape.text("label") for own in files.values() for top in own for shape in top.objects("shapes", "shape")]
    taxonomy, notes = tool_taxonomy(labels, src, options, VOID_LABELS)
    opened = [_split(src, split, own, taxonomy, options) for split, own in files.items()]
    splits = [split for split, _ in opened]
    notes = (*notes, *(note for _, own in opened for note in own))
    if others:
        text = f"{len(others)} JSONs have neither shapes nor imagePath and were left out, first {others[0]}."
        notes = (*notes, LeftOut("files", len(others), text))
    labelled = [image.path for split in splits for image in split.images]
    folders = {path.parent for path in labelled if options.scratch not in path.parents}
    beside = unlabelled(folders, labelled, "have no JSON", None if options.splits else src)
    return LabelSource(taxonomy, tuple(splits), (*notes, *beside))


class _Files(NamedTuple):
    labels: list[Fields]
    others: list[Path]


def _read_all(folder: Path) -> _Files:
    found = _Files([], [])
    for path in sorted(path for path in folder.rglob("*.json") if not path.name.startswith(".")):
        data = read_json(path)
        if path.name in BESIDE and not (isinstance(data, dict) and "shapes" in data):
            continue
        if isinstance(data, dict) and "shapes" not in data and "imagePath" not in data:
            found.others.append(path)  # not labelme's, such as a list of classes
        else:
            found.labels.append(Fields.of(data, str(path)))
    if not found.labels:
        raise UserError(f"{folder} has no JSON of labelme (with shapes and imagePath): name their folder.")
    return found


def _split(
    src: Path, split: str, files: list[Fields], taxonomy: Taxonomy, options: ReadOptions
) -> tuple[SourceSplit, tuple[Note, ...]]:
    """The split, and notes."""
    root = (options.images or src).absolute()
    paths = [_photo(top, src, options) for top in files]
    what = f"images that the JSONs in {src} name"
    kept, notes = present(paths, what, options.skip_missing, lambda k: len(files[k].items("shapes")))
    files, paths = [files[k] for k in kept], [paths[k] for k in kept]
    tops = [root if path.is_relative_to(root) else options.scratch for path in paths]
    within = sum(top != root for top in tops)
    if within:
        notes = (*notes, f"{within} photos were not found and were taken from imageData of their JSONs.")
    names = [path.relative_to(top).as_posix() for path, top in zip(paths, tops, strict=True)]
    ids = image_ids([path.stem for path in paths])
    found = tuple(SourceImage(*row) for row in zip(paths, names, ids, strict=True))
    stated, evidence = (lambda index: _stated(files[index])), (lambda index: _evidence(files[index]))
    frames = LabelFrames(paths, stated, evidence, options.orientation)

    def read(index: int) -> ImageLabels:
        top = files[index]
        framed = frames.find(index, top.where)
        shapes, dropped = sort_out(
            _shape(shape, framed.size, taxonomy, options.outline) for shape in top.objects("shapes", "shape")
        )
        return ImageLabels(framed.size, shapes, dropped=dropped, framed=framed)

    return SourceSplit(split, found, read), notes


def _photo(top: Fields, src: Path, options: ReadOptions) -> Path:
    """Where ``imagePath`` leads, else the file of that name beside the JSON, else one made of ``imageData``."""
    own, name = Path(top.where).absolute(), top.text("imagePath")
    folder = (options.images or own.parent).absolute()
    beside = folder / PurePosixPath(name.replace("\\", "/")).name
    outside = None
    try:
        named = path_inside(options.images or src, name, f"{top.where}, imagePath", folder)
    except UserError as error:
        named, outside = beside, error
    there = next((path for path in (named, beside) if os.path.isfile(path)), None)  # noqa: PTH113 - long names
    if there is not None:
        return there
    if "imageData" in top and options.scratch is not None:
        return _unpacked(top, options.scratch / own.relative_to(src.absolute()).with_suffix(""))
    if outside is not None:
        raise outside
    return named


def _unpacked(top: Fields, stem: Path) -> Path:
    """The photo within a JSON, as a file of the kind that its bytes say."""
    where = f"{top.where}, imageData"
    try:
        content = base64.b64decode(top.text("imageData"), validate=True)
    except (binascii.Error, ValueError):
        raise top.wrong("imageData", "an image in base64") from None
    with decoding(where), Image.open(io.BytesIO(content)) as image:
        suffix = f".{image.format.lower()}" if image.format in ("PNG", "BMP", "TIFF", "WEBP") else ".jpg"
    path = stem.with_name(stem.name + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _stated(top: Fields) -> tuple[int, int] | None:
    if "imageHeight" in top or "imageWidth" in top:
        return top.whole("imageHeight", 1, MAX_SIDE), top.whole("imageWidth", 1, MAX_SIDE)
    return None


def _evidence(top: Fields) -> Evidence:
    shapes = [shape for shape in top.objects("shapes", "shape") if shape.data.get("shape_type") != "circle"]
    return Evidence(points=tuple(point for shape in shapes for point in shape.points("points")))


def _shape(shape: Fields, size: tuple[int, int], taxonomy: Taxonomy, outline: str | None) -> Shape | Dropped:
    label, kind = shape.text("label"), shape.text("shape_type", default="polygon")
    group = shape.whole("group_id", -(2**31), 2**31, default=None)
    points = shape.points("points")
    if kind == "rectangle" and len(points) == 4:
        kind = "polygon"
    if kind in OF_TWO_POINTS and len(points) != 2:
        raise shape.wrong("points", f"the two points of a {kind}")
    if kind == "rectangle":
        points = box_polygon(*map(min, *points), *map(max, *points))
    elif kind == "circle":
        radius = math.dist(*points)
        points = ellipse_polygon(*points[0], radius, radius)
    elif kind == "mask":
        mask, reason = _mask(shape, points, size), _why_empty(points, size)
        return mask_shape(mask, label, taxonomy, shape.where, reason, group, VOID_LABELS)
    elif kind not in OF_CORNERS:
        return Dropped(label, f"shape type {kind!r} has no area", shape.where)
    drawn = outline if kind in OF_CORNERS else None  # boxes and circles are geometry, not outlines of pixels
    return polygon_shape(points, size, label, taxonomy, shape.where, group, VOID_LABELS, drawn)


def _mask(shape: Fields, points: list[tuple[float, float]], size: tuple[int, int]) -> dict:
    """A mask is a PNG of the box between the points, both corners included."""
    where = f"{shape.where}, mask"
    try:
        content = base64.b64decode(shape.text("mask"), validate=True)
    except (binascii.Error, ValueError):
        raise shape.wrong("mask", "a PNG in base64") from None
    with decoding(where), Image.open(io.BytesIO(content)) as image:
        patch = np.asarray(image)
    (left, top), (right, bottom) = ((round(x), round(y)) for x, y in points)
    if patch.ndim != 2 or patch.shape != (bottom - top + 1, right - left + 1):
        raise UserError(
            f"{where} has shape {patch.shape}, but its points span {bottom - top + 1} rows and {right - left + 1} "
            "columns: write the mask anew."
        )
    height, width = size
    whole = np.zeros(size, dtype=bool)
    inside = patch[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)] != 0
    whole[max(top, 0) :, max(left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return mask_to_rle(whole)


def _why_empty(points: list[tuple[float, float]], size: tuple[int, int]) -> str:
    (left, top), (right, bottom) = points
    return OUTSIDE if right < 0 or bottom < 0 or left >= size[1] or top >= size[0] else NO_PIXEL
