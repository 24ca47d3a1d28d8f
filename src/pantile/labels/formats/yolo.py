"""YOLO-seg: a text file per image, a line per object: class x1 y1 x2 y2 ..., coordinates as shares of the image's size.

::

    root/data.yaml                  names, and for each split a folder of images; paths start at path, or at the YAML
    root/images/<split>/*.jpg       root/labels/<split>/*.txt: the last "images" of a path becomes "labels"

Category ids are the class numbers plus 1, so that none is 0. An image without text file has no objects. A line of five
values is a box, which has no mask, and is dropped.
"""

import os
from pathlib import Path

import yaml

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, path_inside, read_text
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.photos.label_frames import Evidence, LabelFrames
from pantile.labels.reading.class_list import classes_of
from pantile.labels.reading.image_folders import choose_splits, image_ids, images_by_stem
from pantile.labels.reading.tool_shapes import polygon_shape, sort_out
from pantile.labels.registry import register_reader
from pantile.labels.source import (
    Dropped,
    ImageLabels,
    LabelSource,
    ReadOptions,
    Shape,
    SourceImage,
    SourceSplit,
)

SPLITS = ("train", "val", "valid", "test")


@register_reader("yolo-seg", options=("things", "stuff"), coordinates=True, described=False)
def open_yolo(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no data.yaml, or one without names or folders.
    """
    path = src if src.is_file() else src / "data.yaml"
    top = _read_yaml(path)
    taxonomy, notes = classes_of(_names(top), path, options.things, options.stuff)
    folders = {split: _folders(top, split, path) for split in SPLITS if split in top}
    if not folders:
        raise UserError(f"{path} names no folder of images: give it the field 'train' or 'val'.")
    found = choose_splits(folders, options.splits, src)
    splits = [_split(split, own, path.parent, taxonomy, options) for split, own in found.items()]
    without = sum(not _label_path(image.path).exists() for split in splits for image in split.images)
    if without:
        notes = (*notes, f"{without} images have no text file: they have no objects.")
    expected = {_label_path(image.path) for split in splits for image in split.images}
    orphans = sum(path not in expected for folder in {p.parent for p in expected} for path in folder.glob("*.txt"))
    if orphans:
        notes = (*notes, f"{orphans} text files have no image and were left out.")
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


def _folders(top: Fields, split: str, path: Path) -> list[Path]:
    """Folders of images. Some tools write ``../train/images`` for ``train/images``: then ``../`` is left out."""
    value = top.data[split]
    names = value if isinstance(value, list) else [value]
    start = top.text("path", default=".")
    folders = []
    for name in names:
        where = f"{path}, {split}"
        if not isinstance(name, str):
            raise top.wrong(split, "a folder of images, or a list of them")
        candidates = [os.path.join(start, name), name, name.removeprefix("../")]  # noqa: PTH118 - may be absolute
        inside = [own for own in (_inside(path.parent, c, where) for c in candidates) if own and own.is_dir()]
        if not inside:
            path_inside(path.parent, name.removeprefix("../"), where)
            raise UserError(f"{where} names {name!r}, which is no folder inside {path.parent}: correct it (or 'path').")
        folders.append(inside[0])
    return folders


def _inside(root: Path, name: str, where: str) -> Path | None:
    try:
        return path_inside(root, name, where)
    except UserError:
        return None  # another reading of the path may lie inside


def _label_path(image: Path) -> Path:
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _split(split: str, folders: list[Path], root: Path, taxonomy: Taxonomy, options: ReadOptions) -> SourceSplit:
    paths = [path for folder in folders for path in images_by_stem(folder).values()]
    ids = image_ids([path.stem for path in paths])
    name = "val" if split == "valid" else split
    root = root.absolute()
    images = tuple(
        SourceImage(path, path.name if len(folders) == 1 else path.relative_to(root).as_posix(), i)
        for path, i in zip(paths, ids, strict=True)
    )

    # shares of a width and height say nothing of the frame
    frames = LabelFrames(paths, lambda index: None, lambda index: Evidence(), options.orientation)

    def read(index: int) -> ImageLabels:
        path = images[index].path
        label = _label_path(path)
        framed = frames.find(index, str(label))
        lines = read_text(label).splitlines() if label.exists() else []
        rows = [(n, line.split()) for n, line in enumerate(lines, start=1) if line.strip()]
        shapes, dropped = sort_out(_shape(row, framed.size, taxonomy, f"{label}: line {n}") for n, row in rows)
        return ImageLabels(framed.size, shapes, dropped=dropped, framed=framed)

    return SourceSplit(name, images, read)


def _shape(row: list[str], size: tuple[int, int], taxonomy: Taxonomy, where: str) -> Shape | Dropped:
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
    return polygon_shape(points, size, label, taxonomy, where)
