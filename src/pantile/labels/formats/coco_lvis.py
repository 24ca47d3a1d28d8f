"""COCO+LVIS (Jain et al., ICCV 2021): 1284 classes, merged from the official JSONs of LVIS v1 and of COCO's stuff.

::

    root/annotations/lvis_v1_<split>.json       train, val; or root/lvis_v1_<split>.json
    root/annotations/stuff_<split>2017.json     both: LVIS validates on images of both splits of COCO
    root/<split>2017/<12 digits>.jpg            or root/images/<split>2017

Instances come first: of all annotations the first that reaches a pixel keeps it. Stuff fills what is left, by the same
rule, with the classes of ``data.classes.coco_lvis``. Images that COCO's stuff lacks are left out, and the training
image 429995, as in the original. Names are those of the JSON, then those of stuff.

The published labels were remapped in place, one id after another: cabinet (98) became 181, an id of stuff of its own
(window-other), and then that one's class; blanket (93) became 110 and then desk-stuff's. ``as_published`` repeats that,
for numbers that are to be compared. What it does not repeat: with old versions of numpy the published script counted
the stuff of images with one single stuff annotation in 8 bits.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, read_json
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.class_values import ClassValues
from pantile.data.classes.coco_lvis import ID_OF_STUFF, MERGED_STUFF, NUM_LVIS, OTHER_STUFF, coco_lvis_taxonomy
from pantile.data.classes.coco_stuff import STUFF_IDS, STUFF_NAMES
from pantile.data.coco_lvis import LABELS
from pantile.labels.formats.png_pairs import SemanticWriter
from pantile.labels.photos.label_frames import frame_of_map
from pantile.labels.reading.coco_masks import mask_of
from pantile.labels.reading.image_folders import choose_splits
from pantile.labels.reading.missing import present
from pantile.labels.reading.rasterise import covered_pixels
from pantile.labels.registry import WRITERS, register_reader
from pantile.labels.source import (
    Dropped,
    ImageLabels,
    LabelSource,
    LeftOut,
    Note,
    ReadOptions,
    SourceImage,
    SourceSplit,
)

OTHER = 183  # stands for all things in COCO's stuff
LEFT_OUT = {"train2017": 429995}
ID_AS_PUBLISHED = ID_OF_STUFF | {98: ID_OF_STUFF[ID_OF_STUFF[98]], 93: ID_OF_STUFF[ID_OF_STUFF[93]]}
STUFF_FILES = ("stuff_train2017.json", "stuff_val2017.json")
_URL = re.compile(r"(?:train|val)2017/\d{12}\.jpg$")


def _fits(src: Path) -> str | None:
    names = (f"lvis_v1_{split}.json" for split in ("train", "val"))
    return next((name for name in names if src.is_dir() and _find(src, name)), None)


@register_reader("coco-lvis", options=("images",), fits=_fits)
def open_coco_lvis(src: Path, options: ReadOptions, as_published: bool = False) -> LabelSource:
    """
    Args:
        src: see above.
        options: splits ``train2017`` and ``val2017``.
        as_published: repeats the fault of the published labels.

    Raises:
        UserError: a file is missing, or of another version.
    """
    jsons = {f"{split}2017": path for split in ("train", "val") if (path := _find(src, f"lvis_v1_{split}.json"))}
    if not jsons:
        raise UserError(f"{src} has no annotations/lvis_v1_train.json and no lvis_v1_val.json: put LVIS v1 there.")
    jsons = choose_splits(jsons, options.splits, src)
    stuff = _Stuff.read(src, needed=STUFF_FILES if "val2017" in jsons else STUFF_FILES[:1])
    opened = {split: _Lvis.read(path) for split, path in jsons.items()}
    lists = {own.names for own in opened.values()}
    if len(lists) > 1:
        raise UserError(
            f"{' and '.join(map(str, jsons.values()))} name their categories differently: take one version."
        )
    taxonomy = coco_lvis_taxonomy(lists.pop())
    ids = ID_AS_PUBLISHED if as_published else ID_OF_STUFF
    splits, notes = [], []
    for split, lvis in opened.items():
        one, own = _split(src, split, lvis, stuff, ids, taxonomy, options)
        splits.append(one)
        notes += own
    if as_published:
        notes.append("Stuff cabinet is labelled window-other, and blanket desk-stuff, as in the published labels.")
    return LabelSource(taxonomy, tuple(splits), tuple(notes))


@register_reader("coco-lvis-as-published", options=("images",))
def open_published_coco_lvis(src: Path, options: ReadOptions) -> LabelSource:
    """As ``open_coco_lvis``, with the fault of the published labels."""
    return open_coco_lvis(src, options, as_published=True)


@dataclass(frozen=True)
class _Lvis:
    """A JSON of LVIS v1: images, names in the order of ids 1..1203, annotations of each image in the file's order."""

    images: list[Fields]
    names: tuple[str, ...]
    annotations: dict[int | str, list[Fields]]

    @classmethod
    def read(cls, path: Path) -> "_Lvis":
        top = Fields.of(read_json(path), str(path))
        categories = {own.whole("id", 0, 2**31): own.text("name") for own in top.objects("categories", "category")}
        if sorted(categories) != list(range(1, NUM_LVIS + 1)):
            raise UserError(
                f"{path} has {len(categories)} categories, but LVIS v1 has {NUM_LVIS} with the ids 1..{NUM_LVIS}: take "
                "lvis_v1_train.json and lvis_v1_val.json (v0.5 has 1230 other ones)."
            )
        stuff = dict(zip(STUFF_IDS, STUFF_NAMES, strict=True))
        for coco, lvis in MERGED_STUFF.items():
            if categories[lvis] != stuff[coco]:
                raise UserError(
                    f"{path} calls category {lvis} {categories[lvis]!r}, but in LVIS v1 it is {stuff[coco]!r}: take "
                    "the official JSON of v1."
                )
        names = tuple(categories[k] for k in range(1, NUM_LVIS + 1))
        return cls(top.objects("images", "image"), names, _by_image(top))


@dataclass(frozen=True)
class _Stuff:
    """COCO's stuff of both splits: annotations of each image in the file's order; the images that the files list."""

    images: set[int | str]
    annotations: dict[int | str, list[Fields]]

    @classmethod
    def read(cls, src: Path, needed: Sequence[str]) -> "_Stuff":
        images, annotations = set(), {}
        for name in needed:
            path = _find(src, name)
            if path is None:
                raise UserError(
                    f"{src} has no annotations/{name}: unpack COCO's stuff_annotations_trainval2017 there (images that "
                    "LVIS validates on come from both splits of COCO)."
                )
            top = Fields.of(read_json(path), str(path))
            images |= {own.identifier("id") for own in top.objects("images", "image")}
            annotations |= _by_image(top)
        return cls(images, annotations)


def _find(src: Path, name: str) -> Path | None:
    return next((path for path in (src / "annotations" / name, src / name) if path.is_file()), None)


def _by_image(top: Fields) -> dict[int | str, list[Fields]]:
    found: dict[int | str, list[Fields]] = {}
    for annotation in top.objects("annotations", "annotation"):
        found.setdefault(annotation.identifier("image_id"), []).append(annotation)
    return found


def _split(
    src: Path,
    split: str,
    lvis: _Lvis,
    stuff: _Stuff,
    ids: Mapping[int, int],
    taxonomy: Taxonomy,
    options: ReadOptions,
) -> tuple[SourceSplit, tuple[str, ...]]:
    """The split, and notes."""
    entries = [own for own in lvis.images if own.identifier("id") in stuff.images]
    notes: tuple[Note, ...] = ()
    if lost := len(lvis.images) - len(entries):
        notes = (LeftOut("images", lost, f"{lost} images of {split} are not in COCO's stuff: left out."),)
    published = [own for own in entries if own.identifier("id") != LEFT_OUT.get(split)]
    if len(published) < len(entries):
        text = f"The image {LEFT_OUT[split]} of {split} is left out, as in the published labels."
        notes = (*notes, LeftOut("images", 1, text))
    entries = published
    top = options.images or src
    paths = [_image_path(top, own) for own in entries]
    kept, remarks = present(paths, f"images of {split}", options.skip_missing)
    entries, paths = [entries[k] for k in kept], [paths[k] for k in kept]
    images = [SourceImage(path, path.name, own.identifier("id")) for path, own in zip(paths, entries, strict=True)]
    values = ClassValues.of(taxonomy.index_of_id, [0])

    def read(index: int) -> ImageLabels:
        entry, image = entries[index], images[index]
        size = entry.whole("height", 1, 2**31), entry.whole("width", 1, 2**31)
        framed = frame_of_map(image.path, size, options.orientation, f"{entry.where} is for")
        dropped: list[Dropped] = []
        things = _painted(lvis.annotations.get(image.id, []), {k: k for k in range(1, NUM_LVIS + 1)}, size, dropped)
        ground = _painted(stuff.annotations.get(image.id, []), ids | {OTHER: 0}, size, dropped)
        merged = np.where(things > 0, things, ground)
        return ImageLabels(size, base=values.to_map(merged, image.path), dropped=tuple(dropped), framed=framed)

    return SourceSplit(split, tuple(images), read), (*notes, *remarks)


def _image_path(top: Path, entry: Fields) -> Path:
    url = entry.text("coco_url")
    found = _URL.search(url)
    if found is None:
        raise UserError(
            f"{entry.where} has the coco_url {url!r}, which does not end like train2017/000000000009.jpg: take LVIS v1."
        )
    places = [top / found.group(), top / "images" / found.group()]
    return next((path for path in places if path.is_file()), places[0])


def _painted(
    annotations: Sequence[Fields], ids: Mapping[int, int], size: tuple[int, int], dropped: list[Dropped]
) -> np.ndarray:
    """(H, W) uint16: the first annotation to reach a pixel keeps it; 0 where none does.

    Args:
        annotations: in the file's order.
        ids: category of an annotation to the value that is painted.
        size: (height, width).
        dropped: takes what covers no pixel.
    """
    height, width = size
    flat = np.zeros(width * height, dtype=np.uint16)  # down the columns, as run lengths go
    for entry in reversed(annotations):
        category = entry.whole("category_id", 0, 2**31)
        if category not in ids:
            raise UserError(
                f"{entry.where} has the category_id {category}, which its data set does not define: take the official "
                "JSON."
            )
        mask = mask_of(entry, size)
        if isinstance(mask, str):
            dropped.append(Dropped(f"category {category}", mask, entry.where))
            continue
        flat[covered_pixels(mask)] = ids[category]
    return np.ascontiguousarray(flat.reshape(width, height).T)


@WRITERS.register("coco-lvis")
class CocoLvisWriter(SemanticWriter):
    """``lvis_mask/<split>/*.png`` beside ``images/<split>``, which ``open_dataset`` recognises.

    Args:
        root: an empty folder.
        taxonomy: of COCO+LVIS.

    Raises:
        UserError: other classes.
    """

    folder = LABELS

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        if [info.id for info in taxonomy.classes] != list(range(1, NUM_LVIS + len(OTHER_STUFF) + 1)):
            raise UserError("--to coco-lvis takes the 1284 classes of --from coco-lvis only: choose another format.")
        super().__init__(root, taxonomy)
