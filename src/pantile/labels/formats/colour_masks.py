"""Masks of colours, and a file that says which colour is which class.

::

    root/masks/<split>/*.png        also labels, semantic, annotations
    root/instances/<split>/*.png    where there are instances: any colour but black for each
    root/class_dict.csv             or any of ``palette_file.PALETTES``
    root/images/<split>/*           or root/<split>/*

Black is void unless a class has it. Of a thing class, what has no instance is crowd.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap
from pantile.labels.reading.colour_maps import ColourMaps, open_colour_maps
from pantile.labels.reading.image_folders import Pairs, find_pairs, label_folders
from pantile.labels.reading.label_pngs import paired_source
from pantile.labels.reading.missing import present
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, ReadOptions

MASK_BASES = ("masks", "labels", "semantic", "annotations")
INSTANCE_BASES = ("instances", "instance")


@register_reader("colour-masks")
def open_colour_masks(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or palette.
    """
    maps = open_colour_maps(src, options)
    pairs = find_pairs(src, MASK_BASES, options.splits, options.images, options.skip_missing)
    folders: dict[str, Path] = {}
    if any((src / base).is_dir() for base in INSTANCE_BASES):
        folders = label_folders(src, INSTANCE_BASES, [own.split for own in pairs])
        pairs = [_with_instances(own, folders[own.split], options.skip_missing) for own in pairs]
    return paired_source(maps.taxonomy, pairs, maps.notes, partial(_read, maps, folders), options.orientation)


def _with_instances(pairs: Pairs, folder: Path, skip: bool) -> Pairs:
    """The pairs that have an instance PNG."""
    paths = [folder / f"{stem}.png" for stem in pairs.stems]
    kept, remarks = present(paths, f"instance PNGs in {folder}", skip)
    stems, labels, images = (tuple(own[k] for k in kept) for own in (pairs.stems, pairs.labels, pairs.images))
    return replace(pairs, stems=stems, labels=labels, images=images, remarks=(*pairs.remarks, *remarks))


def _read(maps: ColourMaps, folders: dict[str, Path], pairs: Pairs, index: int) -> PanopticMap:
    instances = folders[pairs.split] / f"{pairs.stems[index]}.png" if folders else None
    return maps.read(pairs.labels[index], instances)
