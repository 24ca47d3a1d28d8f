"""YOLO-seg: a text file per image, a line per object: class x1 y1 x2 y2 ..., coordinates as shares of the image's size.

::

    root/data.yaml                     names, and for each split a folder of images or a list of them (train.txt); paths
                                       start at path, or at the YAML
    root/images/<split>/**/*.jpg       root/labels/<split>/**/*.txt: the last "images" of a path becomes "labels"
    root/train.txt                     the path of an image a line, from the list or the YAML; of a path of another
                                       machine, as much of its end counts as leads to a file

Category ids are the class numbers plus 1, so that none is 0. An image without text file has no objects. A line of five
values is a box, which has no mask, and is dropped.
"""

import re
from pathlib import Path

import yaml

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, read_text
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.files_below import files_in
from pantile.labels.photos.label_frames import Evidence, LabelFrames
from pantile.labels.reading.beside import top_of, unlabelled
from pantile.labels.reading.class_list import classes_of
from pantile.labels.reading.image_folders import choose_splits, image_ids
from pantile.labels.reading.looking import head
from pantile.labels.reading.missing import present
from pantile.labels.reading.tool_shapes import polygon_shape, sort_out
from pantile.labels.reading.yolo_images import ListedImages, find_images, label_path
from pantile.labels.registry import register_reader
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

SPLITS = ("train", "val", "valid", "test")
_FIELD = re.compile(r"^(\w+)\s*:", re.MULTILINE)


def _fits(src: Path) -> str | None:
    path = src if src.is_file() else src / "data.yaml"
    fields = set(_FIELD.findall(head(path))) if path.suffix.lower() in (".yaml", ".yml") else set()
    return f"names and a split in {path.name}" if "names" in fields and fields & set(SPLITS) else None


@register_reader("yolo-seg", options=("things", "stuff", "outline"), coordinates=True, described=False, fits=_fits)
def open_yolo(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no data.yaml, or one without names or images.
    """
    path = src if src.is_file() else src / "data.yaml"
    top = _read_yaml(path)
    taxonomy, notes = classes_of(_names(top), path, options.things, options.stuff)
    listed = {split: find_images(top, split, path) for split in SPLITS if split in top}
    if not listed:
        raise UserError(f"{path} names no folder of images: give it the field 'train' or 'val'.")
    found = choose_splits(listed, options.splits, src)
    opened = [_split(split, own, taxonomy, options) for split, own in found.items()]
    splits = [split for split, _ in opened]
    notes = (*notes, *(note for _, own in opened for note in own))
    without = sum(not label_path(image.path).exists() for split in splits for image in split.images)
    if without:
        notes = (*notes, f"{without} images have no text file: they have no objects.")
    if not options.splits:
        labelled = [image.path for split in splits for image in split.images]
        folders, why = {path.parent for path in labelled}, f"are named by no split of {path}"
        notes = (*notes, *unlabelled(folders, labelled, why, top_of(src, None)))
    orphans = _orphans(splits)
    if orphans:
        notes = (*notes, LeftOut("files", orphans, f"{orphans} text files have no image and were left out."))
    return LabelSource(taxonomy, tuple(splits), notes)


def _read_yaml(path: Path) -> Fields:
    try:
        return Fields.of(yaml.safe_load(read_text(path)), str(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}): correct it.") from None


def _names(top: Fields) -> list[Fields]:
    names = top.get("names", "the names of the classes")
    rows = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(rows, dict):
        raise top.wrong("names", "a list of names, or a number and name for each class")
    if not all(isinstance(k, int) for k in rows):
        raise top.wrong("names", "a list of names, or a number and name for each class")
    return [Fields({"id": k + 1, "name": name}, f"{top.where}, names: class {k}") for k, name in rows.items()]


def _orphans(splits: list[SourceSplit]) -> int:
    """Text files beside those of the images, in their folders and the folders in these, that belong to no image."""
    expected = {label_path(image.path) for split in splits for image in split.images}
    folders = {path.parent for path in expected}
    tops = {folder for folder in folders if not folders & set(folder.parents)}
    return len({path for top in tops if top.is_dir() for path in files_in(top, (".txt",))} - expected)


def _split(
    split: str, listed: ListedImages, taxonomy: Taxonomy, options: ReadOptions
) -> tuple[SourceSplit, tuple[Note, ...]]:
    """The split, and notes."""
    what = f"images that {listed.where} names"
    kept, notes = present(listed.paths, what, options.skip_missing, lambda k: len(_lines(label_path(listed.paths[k]))))
    paths, names = [listed.paths[k] for k in kept], [listed.names[k] for k in kept]
    ids = image_ids([Path(name).with_suffix("").as_posix() for name in names])
    name = "val" if split == "valid" else split
    images = tuple(SourceImage(*row) for row in zip(paths, names, ids, strict=True))

    # shares of a width and height say nothing of the frame
    frames = LabelFrames(paths, lambda index: None, lambda index: Evidence(), options.orientation)

    def read(index: int) -> ImageLabels:
        label = label_path(images[index].path)
        framed = frames.find(index, str(label))
        rows = [(n, line.split()) for n, line in _lines(label)]
        shapes, dropped = sort_out(
            _shape(row, framed.size, taxonomy, f"{label}: line {n}", options.outline) for n, row in rows
        )
        return ImageLabels(framed.size, shapes, dropped=dropped, framed=framed)

    return SourceSplit(name, images, read), notes


def _lines(label: Path) -> list[tuple[int, str]]:
    """Those that say something, with their numbers; none where there is no file."""
    lines = read_text(label).splitlines() if label.exists() else []
    return [(n, line) for n, line in enumerate(lines, start=1) if line.strip()]


def _shape(
    row: list[str], size: tuple[int, int], taxonomy: Taxonomy, where: str, outline: str | None
) -> Shape | Dropped:
    try:
        class_id, values = int(row[0]), [float(value) for value in row[1:]]
    except ValueError:
        raise UserError(f"{where} is not a class number followed by numbers: correct it.") from None
    if class_id + 1 not in taxonomy.index_of_id:
        return Dropped(f"class {class_id}", "unknown category", where)
    label = taxonomy.names[taxonomy.index_of_id[class_id + 1]]
    if len(values) == 4:
        return Dropped(label, "a box, not a polygon", where)
    if len(values) % 2 or not all(map(is_number, values)):
        raise UserError(f"{where} has {len(values)} coordinates, not pairs of finite numbers: correct it.")
    height, width = size
    points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
    return polygon_shape(points, size, label, taxonomy, where, outline=outline)
