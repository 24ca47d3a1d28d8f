"""Segments.ai: a release, a JSON of all samples, and for each sample a bitmap of instance ids.

::

    root/*.json                             the release, or the JSON itself as the source
    **/<sample>.jpg                         as the package downloads them, or --images
    **/<sample>_label_<labelset>.png        the bitmap as the package downloads it: 16 bits
    **/<the name in the bitmap's address>   the bitmap itself: RGBA, of which red is the lowest byte

Id 0 is void; a category may have the id 0. Categories without instances are stuff. Polygons and boxes of vector data
sets are read, too; polylines and points have no area and are dropped.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.panoptic import MAX_ID, rgb_to_ids
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_files import GREY_8, GREY_16, RGB_8, read_label
from pantile.labels.photos.label_frames import Evidence, Framed, Size
from pantile.labels.reading.class_list import MAX_CATEGORY, classes_of, read_classes
from pantile.labels.reading.image_folders import check_size
from pantile.labels.reading.numbered_maps import map_from_table
from pantile.labels.reading.only_json import only_json, own_jsons
from pantile.labels.reading.photo_index import PhotoIndex, address_path
from pantile.labels.reading.rasterise import box_polygon
from pantile.labels.reading.tool_images import ToolImage, from_shapes, only_split, tool_split
from pantile.labels.reading.tool_shapes import polygon_shape
from pantile.labels.registry import register_reader
from pantile.labels.source import Dropped, ImageLabels, LabelSource, LeftOut, Note, ReadOptions, Shape

BITMAPS = ("segmentation-bitmap", "segmentation-bitmap-highres")
VECTORS = ("vector", "bboxes")


def _fits(src: Path) -> str | None:
    found = next((path for path in own_jsons(src) if all(json_has(path, "dataset", "samples", "task_type"))), None)
    return None if found is None else f"samples of a dataset in {found.name}"


@register_reader("segments-ai", coordinates=True, fits=_fits)
def open_segments_ai(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no release of Segments.ai, or one that is broken.
    """
    path = only_json(src, "Segments.ai")
    data_set = _data_set(path)
    kind = data_set.text("task_type")
    if kind not in (*BITMAPS, *VECTORS):
        raise UserError(f"{path} is of the type {kind!r}: only bitmaps and vectors of single images are read.")
    names, taxonomy, notes = _classes(data_set, path, options)
    labelset = _labelset(data_set)
    photos = PhotoIndex(options.images or path.parent)
    samples = data_set.objects("samples", "sample")
    labelled = [(own, label) for own in samples if (label := _label(own, labelset))]
    if not labelled:
        raise UserError(
            f"{path} has no sample with a label in the labelset {labelset!r}: label some, and release anew."
        )
    make = _bitmap_image if kind in BITMAPS else _vector_image
    bitmaps = PhotoIndex(path.parent)
    images = [make(own, label, labelset, names, taxonomy, photos, bitmaps) for own, label in labelled]
    split, more = tool_split(only_split(options), images, f"{path} names", options)
    with_label = {id(own) for own, _ in labelled}
    bare = [own for own in samples if id(own) not in with_label]
    if bare:
        text = f"{len(bare)} samples have no label in the labelset {labelset!r} and were left out."
        more = (*more, LeftOut("images", len(bare), text))
    known = [*(image.path for image in images), *(_photo(own, photos) for own in bare)]
    known += [_bitmap(own, label, labelset, bitmaps) for own, label in labelled] if kind in BITMAPS else []
    return LabelSource(taxonomy, (split,), (*notes, *more, *photos.unlabelled(known, mark="_label_")))


def _data_set(path: Path) -> Fields:
    top = Fields.of(read_json(path), str(path))
    if not isinstance(top.data.get("dataset"), dict):
        raise UserError(f"{path} is no release of Segments.ai (it lacks 'dataset'): download the release file.")
    return Fields.of(top.data["dataset"], f"{path}, dataset")


def _classes(data_set: Fields, path: Path, options: ReadOptions) -> tuple[dict[int, str], Taxonomy, tuple[Note, ...]]:
    """Names by the release's ids, the taxonomy, and notes."""
    attributes = Fields.of(data_set.get("task_attributes", "an object"), f"{data_set.where}, task_attributes")
    entries = attributes.objects("categories", "category")
    names = {entry.whole("id", 0, MAX_CATEGORY): entry.text("name") for entry in entries}
    if options.classes:
        rows = read_classes(options.classes)
    else:
        rows = [Fields(_row(entry), entry.where) for entry in entries]
    taxonomy, notes = classes_of(rows, options.classes or path, options.things, options.stuff)
    return names, taxonomy, notes


def _row(entry: Fields) -> dict:
    """In COCO's fields; a colour may have a fourth value."""
    row = {key: entry.data.get(key) for key in ("id", "name")}
    if "has_instances" in entry:
        row["isthing"] = int(entry.flag("has_instances"))
    if "color" in entry:
        row["color"] = entry.items("color")[:3]
    return row


def _labelset(data_set: Fields) -> str:
    """``ground-truth`` where there is one, else the first."""
    names = [own.text("name") for own in data_set.objects("labelsets", "labelset")]
    if not names:
        raise UserError(f"{data_set.where} has no labelset: release the data set anew.")
    return "ground-truth" if "ground-truth" in names else names[0]


def _label(sample: Fields, labelset: str) -> Fields | None:
    """The attributes of a sample's label."""
    labels = Fields.of(sample.get("labels", "an object"), f"{sample.where}, labels")
    if labelset not in labels:
        return None
    label = Fields.of(labels.data[labelset], f"{labels.where}, {labelset}")
    return Fields.of(label.get("attributes", "an object"), f"{label.where}, attributes")


def _photo(sample: Fields, photos: PhotoIndex) -> Path:
    """The package calls a download by the sample, with the ending of its address."""
    attributes = Fields.of(sample.get("attributes", "an object"), f"{sample.where}, attributes")
    image = Fields.of(attributes.get("image", "an object"), f"{attributes.where}, image")
    ending = PurePosixPath(address_path(image.text("url"))).suffix
    name = PurePosixPath(sample.text("name").replace("\\", "/"))
    return photos.find(str(name.with_suffix(ending)) if name.name else str(name), f"{sample.where}, name")


def _bitmap_image(
    sample: Fields,
    label: Fields,
    labelset: str,
    names: dict[int, str],
    taxonomy: Taxonomy,
    photos: PhotoIndex,
    bitmaps: PhotoIndex,
) -> ToolImage:
    photo, path = _photo(sample, photos), _bitmap(sample, label, labelset, bitmaps)
    rows = [(own.whole("id", 1, MAX_ID), _name(own, names)) for own in label.objects("annotations", "annotation")]

    def read(framed: Framed) -> ImageLabels:
        numbers = _numbers(path)
        check_size(photo, framed.size, numbers.shape, str(path))
        base, dropped = map_from_table(numbers, rows, taxonomy, str(path))
        return ImageLabels(framed.size, base=base, dropped=dropped, framed=framed)

    evidence = partial(_bitmap_evidence, path)
    return ToolImage(photo, photos.name_of(photo), sample.where, read, len(rows), evidence=evidence)


def _bitmap(sample: Fields, label: Fields, labelset: str, bitmaps: PhotoIndex) -> Path:
    bitmap = Fields.of(label.get("segmentation_bitmap", "an object"), f"{label.where}, segmentation_bitmap")
    downloaded = bitmaps.find(f"{Path(sample.text('name')).stem}_label_{labelset}.png", sample.where)
    return downloaded if downloaded.exists() else bitmaps.find(bitmap.text("url"), f"{bitmap.where}, url")


def _numbers(path: Path) -> np.ndarray:
    pixels = read_label(path, (GREY_8, GREY_16, RGB_8))
    return rgb_to_ids(pixels) if pixels.ndim == 3 else pixels


def _bitmap_evidence(path: Path) -> Evidence:
    return Evidence(sizes=(_numbers(path).shape,))


def _name(annotation: Fields, names: dict[int, str]) -> str:
    category = annotation.whole("category_id", 0, MAX_CATEGORY)
    return names.get(category, f"category {category}")


def _vector_image(
    sample: Fields,
    label: Fields,
    labelset: str,
    names: dict[int, str],
    taxonomy: Taxonomy,
    photos: PhotoIndex,
    bitmaps: PhotoIndex,
) -> ToolImage:
    photo = _photo(sample, photos)
    annotations = label.objects("annotations", "annotation")
    evidence = partial(_vector_evidence, annotations)
    read = from_shapes(partial(_shapes, annotations, names, taxonomy))
    return ToolImage(photo, photos.name_of(photo), sample.where, read, len(annotations), evidence=evidence)


def _vector_evidence(annotations: list[Fields]) -> Evidence:
    return Evidence(points=tuple(point for own in annotations for point in own.points("points")))


def _shapes(
    annotations: list[Fields], names: dict[int, str], taxonomy: Taxonomy, size: Size
) -> Iterator[Shape | Dropped]:
    for own in annotations:
        label, kind, points = _name(own, names), own.text("type"), own.points("points")
        if kind == "bbox":
            if len(points) != 2:
                raise own.wrong("points", "the two corners of a box")
            points = box_polygon(*map(min, *points), *map(max, *points))
        elif kind != "polygon":
            yield Dropped(label, f"shape type {kind!r} has no area", own.where)
            continue
        yield polygon_shape(points, size, label, taxonomy, own.where)
