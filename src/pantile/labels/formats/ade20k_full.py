"""The full ADE20K (Zhou et al., IJCV 2019): ``_seg.png`` beside every image, with thousands of classes.

::

    root/**/training/**/<key>.jpg           and validation
    root/**/<key>_seg.png                   class = R / 10 * 256 + G, number of the instance = B
    root/**/<key>.json                      names of the classes: annotation.object[].name and .name_ndx
    root/**/<key>_parts_<level>.png         parts of objects: a panoptic map has no room for them, so they are left out

Names come from the JSONs, or from ``--classes``. Nothing says which classes are things: those that the challenge's 150
classes call stuff are stuff, all others are things, unless the command line says otherwise.

As ``ade20k-847`` it gives the 847 classes on which MaskFormer trains, one region each; pixels of all other classes are
void. (That preparation also shrinks images to 512 pixels on the shorter side, which is left to augmentation.)
"""

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, read_json
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.class_values import ClassValues
from pantile.data.classes.ade20k import TAXONOMY as CHALLENGE
from pantile.data.classes.ade20k_full import TAXONOMY as CLASSES_847
from pantile.data.files_below import files_in
from pantile.data.label_files import RGB_8, read_label
from pantile.labels.reading.beside import told_of
from pantile.labels.reading.class_list import classes_of, read_classes
from pantile.labels.reading.class_numbers import Numbering, map_from_numbers
from pantile.labels.reading.image_folders import choose_splits
from pantile.labels.reading.label_pngs import paired_source
from pantile.labels.reading.looking import files_of
from pantile.labels.reading.missing import present
from pantile.labels.reading.pairs import Pairs
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, LeftOut, ReadOptions

SUFFIX = "_seg.png"
MAX_CLASS = 25 * 256 + 255
NO_CROWD = -1
NUMBERING = Numbering(first=0, last=255, crowd=NO_CROWD, stuff=0, max_class=MAX_CLASS)
VOID = 0
SHORT = {"training": "train", "validation": "val"}
CHALLENGE_STUFF = {info.name.split(",")[0].strip().lower() for info in CHALLENGE.classes if not info.is_thing}


def _fits(src: Path) -> str | None:
    found = files_of(src, SUFFIX, 1)
    return found[0].name if found else None


@register_reader("ade20k-full", options=("things", "stuff", "classes"), fits=_fits)
def open_ade20k_full(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no ``_seg.png``, an image missing, or classes without names.
    """
    found = _find(src, options)
    pairs = [_pairs(split, paths, options.skip_missing) for split, paths in found.items()]
    jsons = [path.with_name(f"{_key(path)}.json") for paths in found.values() for path in paths]
    rows = read_classes(options.classes) if options.classes else _names(jsons, src)
    given = options.things or options.stuff
    rows = rows if given else [_with_kind(row) for row in rows]
    taxonomy, notes = classes_of(rows, options.classes or src, options.things, options.stuff)
    if not given:
        stuff = ", ".join(taxonomy.names[k] for k in taxonomy.stuff_indices) or "none"
        notes = (*notes, f"Taken as stuff, after the challenge's classes: {stuff}; all others are things.")
    masks = [sorted(path.parent.glob(f"{_key(path)}_parts_*.png")) for paths in found.values() for path in paths]
    if parts := sum(map(bool, masks)):
        text = f"{parts} images have masks of parts, which a panoptic map cannot hold: left out."
        notes = (*notes, LeftOut("files", sum(map(len, masks)), text))
    if not options.splits:
        named = {path.with_name(f"{_key(path)}.jpg") for paths in found.values() for path in paths}
        notes = (*notes, *told_of(set(files_in(src, (".jpg",))) - named, f"have no *{SUFFIX}"))
    return paired_source(taxonomy, pairs, notes, partial(_read, taxonomy), options.orientation)


@register_reader("ade20k-847", options=())
def open_ade20k_847(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: no ``_seg.png``, or an image missing.
    """
    pairs = [_pairs(split, paths, options.skip_missing) for split, paths in _find(src, options).items()]
    kept = {info.id: k for k, info in enumerate(CLASSES_847.classes)}
    values = ClassValues.of(kept, set(range(MAX_CLASS + 1)) - set(kept))
    return paired_source(CLASSES_847, pairs, (), partial(_read_classes, values), options.orientation)


def _find(src: Path, options: ReadOptions) -> dict[str, list[Path]]:
    """Labels of each split."""
    labels: dict[str, list[Path]] = {}
    for path in sorted(src.rglob(f"*{SUFFIX}")):
        split = next((SHORT[part] for part in path.relative_to(src).parts if part in SHORT), "train")
        labels.setdefault(split, []).append(path)
    if not labels:
        raise UserError(f"{src} has no *{SUFFIX}: name the folder of the full ADE20K.")
    return choose_splits(labels, options.splits, src)


def _key(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def _pairs(split: str, labels: list[Path], skip_missing: bool) -> Pairs:
    images = [path.with_name(f"{_key(path)}.jpg") for path in labels]
    kept, remarks = present(images, f"images of the labels *{SUFFIX}", skip_missing)
    labels, images = [labels[k] for k in kept], [images[k] for k in kept]
    return Pairs(split, tuple(map(_key, labels)), tuple(labels), tuple(images), unlabelled=0, remarks=remarks)


def _names(paths: list[Path], src: Path) -> list[Fields]:
    """Class number to name, from the objects of all images."""
    names: dict[int, str] = {}
    for path in paths:
        if not path.exists():
            continue
        top = Fields.of(read_json(path, ("utf-8-sig", "latin-1")), str(path))
        annotation = Fields.of(top.get("annotation", "the object of the archive"), f"{path}: annotation")
        for entry in annotation.objects("object", "object"):
            names.setdefault(entry.whole("name_ndx", 1, MAX_CLASS), entry.text("name"))
    if not names:
        raise UserError(
            f"{src} has no JSON that names its classes (the archive of 2021 has one per image): list them in a "
            "file and name it with --classes."
        )
    ordered = sorted(names.items())
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    return [
        Fields({"id": k, "name": f"{name} ({k})" if name in twice else name}, f"{src}: class {k}")
        for k, name in ordered
    ]


def _with_kind(row: Fields) -> Fields:
    if "isthing" in row or "name" not in row:
        return row
    is_stuff = row.text("name").split(",")[0].strip().lower() in CHALLENGE_STUFF
    return Fields(row.data | {"isthing": int(not is_stuff)}, row.where)


def _read(taxonomy: Taxonomy, pairs: Pairs, index: int) -> PanopticMap:
    path = pairs.labels[index]
    classes, numbers = _codes(path)
    return map_from_numbers(classes, numbers, taxonomy, NUMBERING, (VOID,), path)


def _read_classes(values: ClassValues, pairs: Pairs, index: int) -> PanopticMap:
    path = pairs.labels[index]
    return values.to_map(_codes(path)[0], path)


def _codes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) int32 each: number of the class and of the instance."""
    pixels = read_label(path, (RGB_8,)).astype(np.int32)
    if (pixels[..., 0] % 10).any():
        raise UserError(f"{path} has red values that are no multiples of 10: restore the file from the archive.")
    return pixels[..., 0] // 10 * 256 + pixels[..., 1], pixels[..., 2]
