"""Label Studio's own JSON: a list of tasks, each with its annotations, each with regions in percent of the image.

::

    root/*.json      one file, or the JSON itself as the source; images anywhere below its folder, or --images

Where no task has an annotation, predictions count in their place, and the report says so.
Polygons, rectangles and ellipses, both also turned, brushes and bitmasks; a region may have its label in a second
result of the same id. Of several annotations of a task the ground truth counts, else the newest that nobody cancelled.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, read_json
from pantile.contracts.json_marks import json_has
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.labels.photos.label_frames import Evidence, Size
from pantile.labels.reading.label_studio_geometry import GEOMETRIES
from pantile.labels.reading.only_json import only_json, own_jsons
from pantile.labels.reading.photo_index import PhotoIndex, address_path
from pantile.labels.reading.rasterise import NO_PIXEL, mask_to_rle
from pantile.labels.reading.tool_images import ToolImage, from_shapes, only_split, tool_split
from pantile.labels.reading.tool_shapes import mask_shape, polygon_shape, tool_taxonomy
from pantile.labels.registry import register_reader
from pantile.labels.source import Dropped, LabelSource, LeftOut, ReadOptions, Shape

MAX_SIDE = 2**20
NO_LABEL = "(no label)"
KEYS = ("annotations", "completions", "predictions")
OTHER_ANNOTATION = "another annotation of the same image"
WHOLE = ("brush", "bitmask")


@dataclass(frozen=True)
class Region:
    """
    Attributes:
        fields: the result that has the geometry.
        kind: of the geometry: one of ``GEOMETRIES``, else what the tool calls it.
        labels: all that it has.
    """

    fields: Fields
    kind: str
    labels: tuple[str, ...]

    @property
    def value(self) -> Fields:
        return Fields.of(self.fields.get("value", "an object"), f"{self.fields.where}, value")

    @property
    def stated(self) -> Size | None:
        if "original_height" not in self.fields and "original_width" not in self.fields:
            return None
        return self.fields.whole("original_height", 1, MAX_SIDE), self.fields.whole("original_width", 1, MAX_SIDE)


@dataclass(frozen=True)
class Task:
    """
    Attributes:
        where: file and task.
        image: the name of its image, as the tool has it.
        regions: of the annotation that counts.
        others: of its other annotations.
        left_out: results of all of them that are no regions, by type.
    """

    where: str
    image: str
    regions: list[Region]
    others: list[Region]
    left_out: Counter


def _fits(src: Path) -> str | None:
    found = next((path for path in own_jsons(src) if all(json_has(path, "from_name", "data"))), None)
    return None if found is None else f"regions of tasks in {found.name}"


@register_reader("label-studio", coordinates=True, fits=_fits)
def open_label_studio(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no export of Label Studio, or one that is broken.
    """
    path = only_json(src, "Label Studio")
    entries = _tasks(path)
    key = _key(entries)
    found = [(entry, _task(entry, key)) for entry in entries]
    tasks = [task for _, task in found if task]
    bare = [entry for entry, task in found if not task]
    if not tasks:
        raise UserError(f"{path} has no task with an annotation: export tasks that are annotated.")
    labels = [label for task in tasks for region in task.regions for label in region.labels]
    taxonomy, notes = tool_taxonomy(labels, path, options)
    photos = PhotoIndex(options.images or path.parent)
    images = [_image(task, photos, taxonomy) for task in tasks]
    split, more = tool_split(only_split(options), images, f"{path} names", options)
    if key == "predictions":
        more = (*more, "No task has an annotation: predictions were read in their place.")
    if bare:
        more = (*more, LeftOut("images", len(bare), f"{len(bare)} tasks have no annotation and were left out."))
    others = [photos.find(_image_name(entry), f"{entry.where}, data") for entry in bare]
    more = (*more, *photos.unlabelled([*others, *(image.path for image in images)]))
    left_out = sum((task.left_out for task in tasks), Counter())
    if left_out:
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
        text = f"Results that are no regions were left out: {counts}."
        more = (*more, LeftOut("annotations", left_out.total(), text))
    return LabelSource(taxonomy, (split,), (*notes, *more))


def _tasks(path: Path) -> list[Fields]:
    data = read_json(path)
    if not isinstance(data, list) or not data:
        raise UserError(f"{path} is not a list of tasks of Label Studio: export it as JSON.")
    entries = [Fields.of(entry, f"{path}: task {n}") for n, entry in enumerate(data)]
    for entry in entries:
        if not isinstance(entry.data.get("data"), dict) or not any(key in entry for key in KEYS):
            raise UserError(
                f"{entry.where} lacks 'data' or 'annotations', which an export as JSON has and one as JSON-MIN does "
                "not: export it as JSON."
            )
    return entries


def _key(entries: list[Fields]) -> str:
    """The field with the labels: annotations, also under their old name, or else predictions."""
    return next((key for key in KEYS if any(entry.data.get(key) for entry in entries)), KEYS[0])


def _task(entry: Fields, key: str) -> Task | None:
    """The task; None where nobody has annotated it."""
    annotations = entry.objects(key, key.removesuffix("s")) if key in entry else []
    valid = [own for own in annotations if not (own.flag("was_cancelled", False) or own.flag("skipped", False))]
    if not valid:
        return None
    newest = max(valid, key=lambda own: (own.flag("ground_truth", False), own.text("created_at", default="")))
    left_out: Counter = Counter()
    regions = _regions(newest, left_out)
    others = [region for own in annotations if own is not newest for region in _regions(own, left_out)]
    return Task(entry.where, _image_name(entry), regions, others, left_out)


def _image_name(entry: Fields) -> str:
    data = Fields.of(entry.data["data"], f"{entry.where}, data")
    names = [key for key, value in data.data.items() if isinstance(value, str) and _is_image(value)]
    if len(names) != 1 and "image" not in names:
        raise UserError(f"{data.where} has {len(names)} addresses of images, not one: only single images are read.")
    return data.text("image" if "image" in names else names[0])


def _is_image(value: str) -> bool:
    return address_path(value).lower().endswith(IMAGE_SUFFIXES)


def _regions(annotation: Fields, left_out: Counter) -> list[Region]:
    """Regions of an annotation; results without a value of a geometry are counted by their type."""
    results = annotation.objects("result", "result")
    ids = [str(own.data.get("id")) for own in results]
    kinds = [own.text("type") for own in results]
    labels = {i: _labels(own) for i, kind, own in zip(ids, kinds, results, strict=True) if kind == "labels"}
    plain = {i for i, kind in zip(ids, kinds, strict=True) if kind in GEOMETRIES}
    regions = []
    for i, kind, own in zip(ids, kinds, results, strict=True):
        if kind == "labels" and i in plain:
            continue  # the second result of a region
        if kind in GEOMETRIES:
            regions.append(Region(own, kind, labels.get(i, ())))
        elif kind.endswith("labels") and kind != "labels":
            regions.append(Region(own, kind.removesuffix("labels"), _labels(own)))
        elif kind == "labels" and isinstance(own.data.get("value"), dict) and "x" in own.data["value"]:
            regions.append(Region(own, "rectangle", _labels(own)))
        else:
            left_out[kind] += 1
    return regions


def _labels(result: Fields) -> tuple[str, ...]:
    value = Fields.of(result.get("value", "an object"), f"{result.where}, value")
    key = result.text("type")
    if key not in value:
        return ()
    labels = value.items(key)
    if not all(isinstance(label, str) and label for label in labels):
        raise value.wrong(key, "a list of names")
    return tuple(labels)


def _image(task: Task, photos: PhotoIndex, taxonomy: Taxonomy) -> ToolImage:
    path = photos.find(task.image, f"{task.where}, data")
    sizes: dict[Size, Region] = {}
    for region in task.regions:
        if region.stated:
            sizes.setdefault(region.stated, region)
    if len(sizes) > 1:
        where = list(sizes.values())[1].fields.where
        raise UserError(f"{where} is for another size of image than what stands before it: annotate the image anew.")
    stated = next(iter(sizes), None)
    whole = any(region.kind in WHOLE for region in task.regions)
    evidence = partial(Evidence, sizes=(stated,) if whole and stated else ())
    read, count = from_shapes(partial(_shapes, task, taxonomy)), len(task.regions) + len(task.others)
    return ToolImage(path, photos.name_of(path), task.where, read, count, stated, evidence)


def _shapes(task: Task, taxonomy: Taxonomy, size: Size) -> Iterator[Shape | Dropped]:
    for region in task.regions:
        label, where = (*region.labels, NO_LABEL)[0], region.fields.where
        yield from (Dropped(other, f"second label of a region of {label}", where) for other in region.labels[1:])
        if region.labels:
            yield _shape(region, label, size, taxonomy)
        else:
            yield Dropped(label, "region without a label", where)
    for region in task.others:
        yield from (Dropped(own, OTHER_ANNOTATION, region.fields.where) for own in region.labels or (NO_LABEL,))


def _shape(region: Region, label: str, size: Size, taxonomy: Taxonomy) -> Shape | Dropped:
    fields = region.fields
    if fields.whole("image_rotation", -360, 360, default=0) % 360:
        raise UserError(
            f"{fields.where} was drawn on an image turned by image_rotation: turn the photo itself instead."
        )
    read = GEOMETRIES.get(region.kind)
    if read is None:
        return Dropped(label, f"region type {region.kind!r} has no area", fields.where)
    found = read(region.value, size)
    if isinstance(found, str):
        return Dropped(label, found, fields.where)
    if isinstance(found, np.ndarray):
        return mask_shape(mask_to_rle(found), label, taxonomy, fields.where, NO_PIXEL)
    return polygon_shape(found, size, label, taxonomy, fields.where)
