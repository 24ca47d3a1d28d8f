"""Masks in PASCAL VOC's folders: CVAT's "Segmentation mask 1.1", and VOC itself.

::

    root/SegmentationClass/**/*.png         root/SegmentationObject/**/*.png, where there are instances
    root/labelmap.txt                       or another of ``palette_file.PALETTES``
    root/ImageSets/Segmentation/*.txt       the splits; without them all is ``train``
    root/JPEGImages/**                      or anywhere below root, or --images

Black is void, and so is VOC's border. Of a thing class, what has no instance is crowd.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import path_inside, read_text
from pantile.contracts.panoptic import PanopticMap
from pantile.data.files_below import files_in
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.labels.reading.beside import told_of
from pantile.labels.reading.colour_maps import ColourMaps, open_colour_maps
from pantile.labels.reading.image_folders import choose_splits
from pantile.labels.reading.label_pngs import paired_source
from pantile.labels.reading.looking import files_of
from pantile.labels.reading.missing import present
from pantile.labels.reading.pairs import Pairs
from pantile.labels.reading.palette_file import PALETTES
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, LeftOut, ReadOptions

CLASSES, INSTANCES, SETS = "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"
WHOLE_SETS = ("trainval", "default")  # of which others are parts, or which only say that there are no others


def _fits(src: Path) -> str | None:
    palette = next((name for name in PALETTES if (src / name).is_file()), None)
    return f"{CLASSES} and {palette}" if palette and files_of(src / CLASSES, ".png", 1) else None


@register_reader("cvat-masks", fits=_fits)
def open_cvat_masks(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or palette.
    """
    maps = open_colour_maps(src, options)
    masks = _stems(src / CLASSES)
    if not masks:
        raise UserError(f"{src} has no {CLASSES}/*.png: export it as Segmentation mask 1.1.")
    sets = choose_splits(_sets(src, list(masks)), options.splits, src)
    photos = _photos(options.images or (src / "JPEGImages" if (src / "JPEGImages").is_dir() else src), src)
    pairs, notes = [], maps.notes
    for split, stems in sets.items():
        labelled = [stem for stem in dict.fromkeys(stems) if stem in masks]
        bare = len(set(stems)) - len(labelled)
        if bare:
            text = f"{bare} images of split {split!r} have no mask and were left out."
            notes = (*notes, LeftOut("images", bare, text))
        if labelled:
            pairs.append(_pairs(split, labelled, masks, photos, src, options))
    if not options.splits:
        named = {stem for stems in sets.values() for stem in stems}
        beside = [path for stem, path in photos.items() if stem not in named]
        notes = (*notes, *told_of(beside, "are named by no mask and no list"))
    if not pairs:
        raise UserError(f"{src / SETS} names no image with a mask in {src / CLASSES}: correct its lists.")
    with_instances = (src / INSTANCES).is_dir()
    return paired_source(maps.taxonomy, pairs, notes, partial(_read, maps, src, with_instances), options.orientation)


def _stems(folder: Path, suffixes: tuple[str, ...] = (".png",)) -> dict[str, Path]:
    """Files by their path below a folder, without ending."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files_in(folder, suffixes)}


def _photos(folder: Path, src: Path) -> dict[str, Path]:
    labels = (src / CLASSES, src / INSTANCES)
    found = _stems(folder, IMAGE_SUFFIXES)
    return {stem: path for stem, path in found.items() if not any(top in path.parents for top in labels)}


def _sets(src: Path, stems: list[str]) -> dict[str, list[str]]:
    """Split to stems. A list that holds other lists is no split beside them."""
    lists = sorted((src / SETS).glob("*.txt"))
    parts = [(path.stem, path) for path in lists if path.stem not in WHOLE_SETS]
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in parts or [("train", path) for path in lists]:
        for line in read_text(path).splitlines():
            if line.strip():
                path_inside(src / CLASSES, line.strip(), str(path))
                found["val" if name == "valid" else name].append(line.strip())
    return dict(found) or {"train": stems}


def _pairs(
    split: str, labelled: list[str], masks: dict[str, Path], photos: dict[str, Path], src: Path, options: ReadOptions
) -> Pairs:
    """The pairs of a split. CVAT writes no mask for an image without annotations."""
    paths = [photos.get(stem, src / "JPEGImages" / f"{stem}.jpg") for stem in labelled]
    kept, more = present(paths, f"images of {src / CLASSES}", options.skip_missing)
    own = tuple(labelled[k] for k in kept)
    images = tuple(paths[k] for k in kept)
    return Pairs(split, own, tuple(masks[stem] for stem in own), images, 0, more)


def _read(maps: ColourMaps, src: Path, with_instances: bool, pairs: Pairs, index: int) -> PanopticMap:
    path = pairs.labels[index]
    instances = src / INSTANCES / path.relative_to(src / CLASSES) if with_instances else None
    return maps.read(path, instances)
