"""COCO instances: polygons, run lengths and crowd, with stuff from a file of its own or among the annotations.

::

    root/annotations/instances_<split>.json         root may also be a JSON, or root/<split>/_annotations.coco.json
    root/annotations/stuff_<split>.json             optional: categories and annotations of stuff
    root/annotations/stuff_<split>_pixelmaps/*.png  optional, comes before the annotations: value = category id
    root/<split>/*, root/images/<split>/* or root/images/*

Categories of ``instances`` are things unless ``isthing`` or the command line says otherwise. In COCO's stuff the
category "other" stands for things: void where no thing lies.
"""

import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import key_of
from pantile.contracts.json_fields import Fields, is_number, path_inside, read_json
from pantile.contracts.panoptic import MAX_ID, VOID_ID, PanopticMap, Segment
from pantile.contracts.run_lengths import encode_segments
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.image_files import stored_size
from pantile.data.label_files import GREY_8, GREY_16, PALETTE, read_label
from pantile.data.segment_rows import segments_info
from pantile.labels.photos.label_frames import Evidence, LabelFrames
from pantile.labels.reading.class_list import classes_of, read_classes
from pantile.labels.reading.coco_masks import mask_of
from pantile.labels.reading.image_folders import check_size, choose_splits, images_by_stem
from pantile.labels.reading.missing import present
from pantile.labels.registry import WRITERS, register_reader
from pantile.labels.report import Report
from pantile.labels.source import (
    Dropped,
    ImageLabels,
    LabelSource,
    Layer,
    ReadOptions,
    Shape,
    SourceImage,
    SourceSplit,
)

GREY = (GREY_8, GREY_16, PALETTE)
OTHER = "other"
UNKNOWN = "unknown category"


@dataclass(frozen=True)
class _File:
    """A JSON of the split, its fields checked but for the annotations' own."""

    path: Path
    layer: Layer
    images: list[Fields]
    categories: list[Fields]
    annotations: dict[int | str, list[Fields]]


@register_reader("coco-instances", coordinates=True)
def open_coco_instances(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no JSON, or one that is not COCO's.
    """
    found = choose_splits(_find(src, options.splits), options.splits, src)
    files = {split: _read_files(path, split) for split, path in found.items()}
    taxonomy, notes = _taxonomy(files, options)
    opened = [_split(src, split, own, taxonomy, options) for split, own in files.items()]
    notes = (*notes, *(note for _, own in opened for note in own))
    return LabelSource(taxonomy, tuple(split for split, _ in opened), notes)


def _find(src: Path, wanted: tuple[str, ...]) -> dict[str, Path]:
    if src.is_file():
        if len(wanted) > 1:
            raise UserError(f"{src} is one JSON: give one name with --split.")
        return {wanted[0] if wanted else src.stem.removeprefix("instances_"): src}
    found = {}
    for folder in (src / "annotations", src):
        for path in sorted(folder.glob("instances_*.json")):
            found.setdefault(path.stem.removeprefix("instances_"), path)
    for path in sorted(src.glob("*/_annotations.coco.json")):
        found.setdefault(path.parent.name, path)
    if not found:
        raise UserError(f"{src} has no annotations/instances_<split>.json: name the JSON itself as the source.")
    return found


def _read_files(path: Path, split: str) -> list[_File]:
    files = [_read(path, Layer.SHAPE)]
    stuff = path.with_name(f"stuff_{split}.json")
    if stuff != path and stuff.exists():
        files.append(_read(stuff, Layer.STUFF_FILE))
        _check_same_images(*files)
    return files


def _check_same_images(things: _File, stuff: _File) -> None:
    """
    Raises:
        UserError: the two files mean different images by one id.
    """
    names = {image.data["id"]: image.data.get("file_name") for image in things.images}
    for image in stuff.images:
        own, other = image.data.get("file_name"), names.get(image.data["id"])
        if isinstance(own, str) and isinstance(other, str) and key_of(own) != key_of(other):
            raise UserError(
                f"{image.where} calls the image with the id {image.data['id']!r} {own!r}, but {things.path} calls it "
                f"{other!r}: give both files the same ids."
            )


def _read(path: Path, layer: Layer) -> _File:
    top = Fields.of(read_json(path), str(path))
    images = top.objects("images", "image")
    ids = [image.identifier("id") for image in images]
    twice = next((i for i, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{path} lists the image id {twice!r} twice in 'images': make the ids unique.")
    annotations: dict[int | str, list[Fields]] = {i: [] for i in ids}
    for annotation in top.objects("annotations", "annotation"):
        image_id = annotation.identifier("image_id")
        if image_id not in annotations:
            raise UserError(
                f"{annotation.where} has the image_id {image_id!r}, which 'images' does not list: add the image or "
                "remove the annotation."
            )
        annotations[image_id].append(annotation)
    return _File(path, layer, images, top.objects("categories", "category"), annotations)


def _taxonomy(files: dict[str, list[_File]], options: ReadOptions) -> tuple[Taxonomy, tuple[str, ...]]:
    """The list given, or that of all JSONs of all splits, which must agree; stuff files add classes that are stuff."""
    if options.classes:
        return classes_of(read_classes(options.classes), options.classes, options.things, options.stuff)
    rows: dict[int, Fields] = {}
    stuff_files = [file for own in files.values() for file in own if file.layer == Layer.STUFF_FILE]
    for file in [own[0] for own in files.values()] + stuff_files:
        for category in file.categories:
            category_id, name = category.whole("id", 0, MAX_ID), category.text("name")
            if file.layer == Layer.STUFF_FILE and name == OTHER:
                continue
            if file.layer == Layer.STUFF_FILE and "isthing" not in category:
                category = Fields(category.data | {"isthing": 0}, category.where)
            known = rows.setdefault(category_id, category)
            if known.data["name"] != name:
                raise UserError(
                    f"{category.where} calls the category id {category_id} {name!r}, but {known.where} calls it "
                    f"{known.data['name']!r}: use one list of categories."
                )
            own, before = (entry.get("isthing", "0 or 1", None) for entry in (category, known))
            settled = name in options.things or name in options.stuff or file.layer == Layer.STUFF_FILE
            if not settled and None not in (own, before) and own != before:
                raise UserError(
                    f"{category.where} and {known.where} disagree on whether {name!r} is a thing: "
                    "say it by --things or --stuff."
                )
    return classes_of(list(rows.values()), next(iter(files.values()))[0].path, options.things, options.stuff)


def _split(
    src: Path, split: str, files: list[_File], taxonomy: Taxonomy, options: ReadOptions
) -> tuple[SourceSplit, tuple[str, ...]]:
    """The split, and notes."""
    main, images = files[0], options.images
    root = src.parent if src.is_file() else src
    places = [images] if images else [root / split, root / "images" / split, root / "images", main.path.parent]
    if src.is_file() and not images:
        places = [*places, root.parent / split, root.parent / "images" / split, root.parent / "images"]
    folder = next((place for place in places if place.is_dir() and _holds(place, main)), None)
    if folder is None:
        raise UserError(
            f"The images that {main.path} names are not in {' or '.join(map(str, places))}: name their folder with "
            "--images."
        )
    paths = [path_inside(folder, entry.text("file_name"), f"{entry.where}, file_name") for entry in main.images]
    kept, notes = present(paths, f"images that {main.path} names", options.skip_missing)
    entries, top = [main.images[k] for k in kept], folder.absolute()
    found = [
        SourceImage(paths[k], paths[k].relative_to(top).as_posix(), entry.identifier("id"))
        for k, entry in zip(kept, entries, strict=True)
    ]
    pixelmaps = main.path.with_name(f"stuff_{split}_pixelmaps")
    maps = images_by_stem(pixelmaps, (".png",)) if len(files) > 1 else {}
    if pixelmaps.is_dir() and not maps:
        raise UserError(f"{pixelmaps} needs stuff_{split}.json beside it, for the categories of its values: add it.")

    def evidence(index: int) -> Evidence:
        annotations = [own for file in files for own in file.annotations.get(found[index].id, [])]
        return _evidence(annotations, maps.get(found[index].path.stem))

    paths = [image.path for image in found]
    frames = LabelFrames(paths, lambda index: _stated(entries[index]), evidence, options.orientation)

    def read(index: int) -> ImageLabels:
        image = found[index]
        framed = frames.find(index, entries[index].where)
        size = framed.size
        shapes, dropped, base = [], [], None
        for file in files:
            if file.layer == Layer.STUFF_FILE and maps:
                base = _stuff_map(maps, image, size, file, taxonomy)
                continue
            for annotation in file.annotations.get(image.id, []):
                one = _shape(annotation, size, taxonomy, file)
                (shapes if isinstance(one, Shape) else dropped).append(one)
        return ImageLabels(size, tuple(shapes), base, tuple(dropped), framed=framed)

    return SourceSplit(split, tuple(found), read), notes


def _holds(folder: Path, file: _File) -> bool:
    """Whether the folder has an image of the file; which ones are missing is told later."""
    names = ((entry.text("file_name"), entry.where) for entry in file.images)
    return not file.images or any(os.path.exists(path_inside(folder, *own)) for own in names)  # noqa: PTH110 - long names


def _stated(entry: Fields) -> tuple[int, int] | None:
    if "height" in entry or "width" in entry:
        return entry.whole("height", 1, 2**31), entry.whole("width", 1, 2**31)
    return None


def _evidence(annotations: list[Fields], stuff_map: Path | None) -> Evidence:
    """Sizes and points of whatever is well formed; the rest is told where it is read."""
    sizes = [stored_size(stuff_map)] if stuff_map else []
    points: list[tuple[float, float]] = []
    for annotation in annotations:
        segmentation = annotation.data.get("segmentation")
        if isinstance(segmentation, dict):
            size = segmentation.get("size")
            sizes += [tuple(size)] if isinstance(size, list) and len(size) == 2 else []
        for flat in segmentation if isinstance(segmentation, list) else []:
            if isinstance(flat, list) and all(map(is_number, flat)):
                points += zip(flat[::2], flat[1::2], strict=False)
    return Evidence(tuple(sizes), tuple(points))


def _stuff_map(
    maps: dict[str, Path], image: SourceImage, size: tuple[int, int], file: _File, taxonomy: Taxonomy
) -> PanopticMap:
    path = maps.get(image.path.stem)
    if path is None:
        raise UserError(f"{file.path}: the stuff PNG of {image.name} is missing: restore it.")
    values = read_label(path, GREY)
    check_size(image.path, size, values.shape, str(path))
    others = {c.data["id"] for c in file.categories if c.data["name"] == OTHER}
    ids, segments = np.zeros(size, dtype=np.int32), []
    for value in np.unique(values).tolist():
        if value == VOID_ID or value in others:
            continue
        if value not in taxonomy.index_of_id:
            raise UserError(f"{path} has pixels of value {value}, which {file.path} does not list: add the category.")
        segments.append(Segment(len(segments) + 1, taxonomy.index_of_id[value]))
        ids[values == value] = len(segments)
    return PanopticMap(ids, tuple(segments))


def _shape(entry: Fields, size: tuple[int, int], taxonomy: Taxonomy, file: _File) -> Shape | Dropped:
    category = entry.whole("category_id", 0, MAX_ID)
    is_crowd = entry.flag("iscrowd", default=0)
    if category not in taxonomy.index_of_id:
        name = next((c.data["name"] for c in file.categories if c.data["id"] == category), None)
        reason = "stands for things in COCO's stuff" if name == OTHER else UNKNOWN
        return Dropped(name or f"category {category}", reason, entry.where)
    class_index = taxonomy.index_of_id[category]
    mask = mask_of(entry, size)
    if isinstance(mask, str):
        return Dropped(taxonomy.names[class_index], mask, entry.where)
    return Shape(mask, class_index, entry.where.rpartition(": ")[2], is_crowd, layer=file.layer)


@WRITERS.register("coco-instances")
class CocoInstancesWriter:
    """``annotations/instances_<split>.json`` for things, ``stuff_<split>.json`` for stuff, both as run lengths.

    Args:
        root: an empty folder.
        taxonomy: the classes.
    """

    images = "{split}"

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        self.root = root
        self.taxonomy = taxonomy
        self._images: dict[str, list[dict]] = defaultdict(list)
        self._annotations: dict[tuple[str, bool], list[dict]] = defaultdict(list)

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds: all of it."""
        height, width = panoptic.size
        self._images[split].append({"id": image_id, "file_name": image_name, "height": height, "width": width})
        masks = encode_segments(panoptic.ids, [segment.id for segment in panoptic.segments])
        for row, mask in zip(segments_info(panoptic, self.taxonomy), masks, strict=True):
            is_thing = self.taxonomy.classes[self.taxonomy.index_of_id[row["category_id"]]].is_thing
            own = self._annotations[split, is_thing]
            segmentation = {"size": mask["size"], "counts": mask["counts"].decode("ascii")}
            own.append(row | {"id": len(own) + 1, "image_id": image_id, "segmentation": segmentation})
        return panoptic

    def finish(self, split: str) -> None:
        """Writes the JSONs of a split; that of stuff only where there are such classes."""
        for name, is_thing in (("instances", True), ("stuff", False)):
            categories = [c for c in self.taxonomy.to_coco() if bool(c["isthing"]) == is_thing]
            if not is_thing and not categories:
                continue
            data = {
                "images": self._images[split],
                "annotations": self._annotations[split, is_thing],
                "categories": categories,
            }
            path = self.root / "annotations" / f"{name}_{split}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(data), encoding="utf-8")
