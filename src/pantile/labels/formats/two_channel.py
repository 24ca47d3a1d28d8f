"""2-channel PNGs of COCO's panoptic tools: R is the category id, G the number of the instance, 255 for crowd.

::

    root/annotations/panoptic_2ch_<split>/*.png     or panoptic_2ch/*.png
    root/classes.json                               or any of ``class_list.CLASS_FILES``
    root/images/<split>/*                           or root/<split>/*
"""

from functools import partial
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_files import RGB_8, read_label
from pantile.labels.reading.class_list import classes_of, find_classes, listed_classes, read_classes, without_background
from pantile.labels.reading.class_numbers import Numbering, map_from_numbers, numbers_from_map
from pantile.labels.reading.label_pngs import PngWriter, paired_source, save_png
from pantile.labels.reading.pairs import Pairs, find_pairs, has_pngs
from pantile.labels.registry import WRITERS, register_reader
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, ReadOptions

NUMBERING = Numbering(first=0, last=254, crowd=255, stuff=0, max_class=255)
VOID = 0
BASES = ("annotations/panoptic_2ch", "panoptic_2ch")


def _fits(src: Path) -> str | None:
    found = next((base for base in BASES if listed_classes(src) and has_pngs(src, base)), None)
    return None if found is None else f"PNGs in {found}, and {listed_classes(src)}"


@register_reader("two-channel", fits=_fits)
def open_two_channel(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or classes.
    """
    path = find_classes(src, options.classes)
    taxonomy, notes = classes_of(without_background(read_classes(path)), path, options.things, options.stuff)
    if VOID in taxonomy.index_of_id:
        name = taxonomy.names[taxonomy.index_of_id[VOID]]
        raise UserError(f"{path}: the class {name!r} has the id 0, which is void in 2-channel PNGs: correct its id.")
    pairs = find_pairs(src, BASES, options.splits, options.images, options.skip_missing)
    return paired_source(taxonomy, pairs, notes, partial(_read, taxonomy), options.orientation)


def _read(taxonomy: Taxonomy, pairs: Pairs, index: int) -> PanopticMap:
    path = pairs.labels[index]
    pixels = read_label(path, (RGB_8,))
    if pixels[..., 2].any():
        raise UserError(
            f"{path} has values in its blue channel, which the 2-channel format leaves 0: is it another format?"
        )
    return map_from_numbers(pixels[..., 0], pixels[..., 1], taxonomy, NUMBERING, (VOID,), path)


@WRITERS.register("two-channel")
class TwoChannelWriter(PngWriter):
    """See the module."""

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds."""
        classes, numbers, held = numbers_from_map(panoptic, self.taxonomy, NUMBERING, VOID, report)
        pixels = np.stack([classes, numbers, np.zeros_like(classes)], axis=-1).astype(np.uint8)
        save_png(pixels, self.root / "annotations" / f"panoptic_2ch_{split}" / f"{Path(image_name).stem}.png")
        return held
