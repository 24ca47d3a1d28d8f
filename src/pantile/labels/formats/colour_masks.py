"""Masks of colours, and a file that says which colour is which class.

::

    root/masks/<split>/*.png        also labels, semantic, annotations
    root/instances/<split>/*.png    where there are instances: any colour but black for each
    root/class_dict.csv             or any of ``palette_file.PALETTES``
    root/images/<split>/*           or root/<split>/*

Black is void unless a class has it. Of a thing class, what has no instance is crowd.
"""

from functools import partial
from pathlib import Path

from pantile.contracts.panoptic import PanopticMap
from pantile.labels.reading.colour_maps import ColourMaps, open_colour_maps
from pantile.labels.reading.label_pngs import paired_source
from pantile.labels.reading.pairs import Pairs, find_pairs, has_pngs, instance_path, with_instances
from pantile.labels.reading.palette_file import PALETTES
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, ReadOptions

MASK_BASES = ("masks", "labels", "semantic", "annotations")
INSTANCE_BASES = ("instances", "instance")


def _fits(src: Path) -> str | None:
    """Lists of classes may have colours for looking at; files with no other purpose tell."""
    palette = next((name for name in PALETTES if "classes." not in name and (src / name).is_file()), None)
    found = next((base for base in MASK_BASES if palette and has_pngs(src, base)), None)
    return None if found is None else f"PNGs in {found}, and {palette}"


@register_reader("colour-masks", fits=_fits)
def open_colour_masks(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or palette.
    """
    maps = open_colour_maps(src, options)
    pairs = find_pairs(src, MASK_BASES, options.splits, options.images, options.skip_missing)
    folders: dict[str, Path] = {}
    if any((src / base).is_dir() for base in INSTANCE_BASES):
        pairs, folders = with_instances(pairs, src, INSTANCE_BASES, options.skip_missing, whole=not options.splits)
    return paired_source(maps.taxonomy, pairs, maps.notes, partial(_read, maps, folders), options.orientation)


def _read(maps: ColourMaps, folders: dict[str, Path], pairs: Pairs, index: int) -> PanopticMap:
    instances = instance_path(folders[pairs.split], pairs, index) if folders else None
    return maps.read(pairs.labels[index], instances)
