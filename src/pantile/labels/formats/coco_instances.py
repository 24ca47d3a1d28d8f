"""COCO instances: polygons, run lengths and crowd, with stuff from a file of its own or among the annotations.

::

    root/annotations/instances_<split>.json         root may also be a JSON, or root/<split>/_annotations.coco.json
    root/annotations/stuff_<split>.json             optional: categories and annotations of stuff
    root/annotations/stuff_<split>_pixelmaps/*.png  optional, comes before the annotations: value = category id
    root/<split>/*, root/images/<split>/* or root/images/*

Category ids may be any whole numbers from 0: hashes, as Darwin writes them, are numbered anew. Categories of
``instances`` are things unless ``isthing`` or the command line says otherwise. In COCO's stuff the
category "other" stands for things: void where no thing lies.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, is_whole, path_inside
from pantile.contracts.json_marks import json_has
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.files_below import images_by_stem
from pantile.data.image_files import stored_size
from pantile.data.label_files import GREY_8, GREY_16, PALETTE, read_label
from pantile.labels.photos.label_frames import Evidence, LabelFrames
from pantile.labels.reading.beside import top_of, unlabelled
from pantile.labels.reading.class_list import classes_of, read_classes
from pantile.labels.reading.coco_categories import MAX_WRITTEN, settle_categories
from pantile.labels.reading.coco_files import OTHER, CocoFile, all_categories, find_jsons, jsons_in, read_files
from pantile.labels.reading.coco_masks import mask_of
from pantile.labels.reading.image_folders import check_size, choose_splits
from pantile.labels.reading.missing import present
from pantile.labels.reading.outlines import outline_of
from pantile.labels.registry import LabelReader, register_reader
from pantile.labels.source import (
    Dropped,
    ImageLabels,
    LabelSource,
    Layer,
    LeftOut,
    Note,
    ReadOptions,
    Shape,
    SourceImage,
    SourceSplit,
)

GREY = (GREY_8, GREY_16, PALETTE)
UNKNOWN = "unknown category"
MARKS = ("images", "annotations", "categories", "segments_info", "neg_category_ids")


def _fits(src: Path) -> str | None:
    found = [src] if src.is_file() else list(jsons_in(src).values())
    for path in found:
        images, annotations, categories, segments, lvis = json_has(path, *MARKS)
        if images and annotations and categories and not segments and not lvis:
            return f"images, annotations and categories in {path.name}"
    return None


@register_reader("coco-instances", options=(*LabelReader.options, "outline"), coordinates=True, fits=_fits)
def open_coco_instances(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no JSON, or one that is not COCO's.
    """
    found = choose_splits(find_jsons(src, options.splits), options.splits, src)
    files = {split: read_files(path, split) for split, path in found.items()}
    classes, notes = _classes(files, options)
    opened = [_split(src, split, own, classes, options) for split, own in files.items()]
    splits = tuple(split for split, _, _ in opened)
    notes = (*notes, *(note for _, _, own in opened for note in own))
    if not options.splits:
        labelled = [image.path for split in splits for image in split.images]
        folders = {folder for _, folder, _ in opened}
        if any(path.absolute().is_relative_to(folder) for path in found.values() for folder in folders):
            folders = {path.parent for path in labelled}  # no other pictures, such as those of annotations
        notes = (*notes, *unlabelled(folders, labelled, "are in no JSON", top_of(src, options.images)))
    return LabelSource(classes.taxonomy, splits, notes)


@dataclass(frozen=True)
class _Classes:
    """
    Attributes:
        taxonomy: the classes.
        id_of: category id of the files to that of the taxonomy.
    """

    taxonomy: Taxonomy
    id_of: dict[int, int]


def _classes(files: dict[str, list[CocoFile]], options: ReadOptions) -> tuple[_Classes, tuple[Note, ...]]:
    """The list given, or that of all JSONs of all splits, which must agree; stuff files add classes that are stuff."""
    if options.classes:
        taxonomy, notes = classes_of(read_classes(options.classes), options.classes, options.things, options.stuff)
        return _Classes(taxonomy, {i: i for i in taxonomy.index_of_id}), notes
    rows = all_categories(files, options)
    of_images = [own for split in files.values() for file in split for own in file.annotations.values()]
    used = [annotation.data.get("category_id") for own in of_images for annotation in own]
    settled = settle_categories(rows, {own for own in used if is_whole(own)})
    first = next(iter(files.values()))[0].path
    taxonomy, notes = classes_of(settled.rows, first, options.things, options.stuff)
    return _Classes(taxonomy, settled.id_of), (*settled.notes, *notes)


def _split(
    src: Path, split: str, files: list[CocoFile], classes: _Classes, options: ReadOptions
) -> tuple[SourceSplit, Path, tuple[Note, ...]]:
    """The split, the folder of its images, and notes."""
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
    ids = [entry.data["id"] for entry in main.images]
    counts = [sum(len(file.annotations.get(i, ())) for file in files) for i in ids]
    kept, notes = present(paths, f"images that {main.path} names", options.skip_missing, counts.__getitem__)
    if len(files) > 1 and (beyond := [i for i in files[1].annotations if i not in set(ids)]):
        text = f"{len(beyond)} images of {files[1].path} are not in {main.path} and were left out."
        notes = (*notes, LeftOut("images", len(beyond), text))
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
        return _evidence(annotations, _map_path(maps, found[index]))

    outlines = [outline_of(file.all_annotations(), options.outline, str(file.path)) for file in files]
    notes = (*notes, *(own.reason for own, file in zip(outlines, files, strict=True) if file.has_polygons()))

    paths = [image.path for image in found]
    frames = LabelFrames(paths, lambda index: _stated(entries[index]), evidence, options.orientation)

    def read(index: int) -> ImageLabels:
        image = found[index]
        framed = frames.find(index, entries[index].where)
        size = framed.size
        shapes, dropped, base = [], [], None
        for file, outline in zip(files, outlines, strict=True):
            if file.layer == Layer.STUFF_FILE and maps:
                base = _stuff_map(maps, image, size, file, classes.taxonomy)
                continue
            for annotation in file.annotations.get(image.id, []):
                one = _shape(annotation, size, classes, file, outline.kind)
                (shapes if isinstance(one, Shape) else dropped).append(one)
        return ImageLabels(size, tuple(shapes), base, tuple(dropped), framed=framed)

    return SourceSplit(split, tuple(found), read), top, notes


def _holds(folder: Path, file: CocoFile) -> bool:
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


def _map_path(maps: dict[str, Path], image: SourceImage) -> Path | None:
    """By the image's name, with its folders where there is such a map."""
    return maps.get(Path(image.name).with_suffix("").as_posix(), maps.get(image.path.stem))


def _stuff_map(
    maps: dict[str, Path], image: SourceImage, size: tuple[int, int], file: CocoFile, taxonomy: Taxonomy
) -> PanopticMap:
    path = _map_path(maps, image)
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


def _shape(entry: Fields, size: tuple[int, int], classes: _Classes, file: CocoFile, outline: str) -> Shape | Dropped:
    category, taxonomy = entry.whole("category_id", 0, MAX_WRITTEN), classes.taxonomy
    is_crowd = entry.flag("iscrowd", default=0)
    if category not in classes.id_of:
        name = next((c.data["name"] for c in file.categories if c.data["id"] == category), None)
        reason = "stands for things in COCO's stuff" if name == OTHER else UNKNOWN
        return Dropped(name or f"category {category}", reason, entry.where)
    class_index = taxonomy.index_of_id[classes.id_of[category]]
    mask = mask_of(entry, size, outline)
    if isinstance(mask, str):
        return Dropped(taxonomy.names[class_index], mask, entry.where)
    return Shape(mask, class_index, entry.where.rpartition(": ")[2], is_crowd, layer=file.layer)
