"""A semantic PNG and an instance PNG per image, or the semantic PNG alone.

::

    root/semantic/<split>/*.png     8 or 16 bits, the category id; 0 and 255 (65535) are void unless a category has them
    root/instances/<split>/*.png    8 or 16 bits, or RGB (R + 256 G + 65536 B); 0 where things are not separated
    root/classes.json               or any of ``class_list.CLASS_FILES``
    root/images/<split>/*           or root/<split>/*

A segment is a pair of class and number, so numbers may count per class or per image. Without instance PNGs every region
of a thing class is crowd.
"""

from functools import partial
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, rgb_to_ids
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.description import is_described
from pantile.data.label_files import GREY_8, GREY_16, PALETTE, RGB_8, read_label
from pantile.labels.reading.class_list import classes_of, find_classes, listed_classes, read_classes
from pantile.labels.reading.class_numbers import Numbering, map_from_numbers, numbers_from_map
from pantile.labels.reading.label_pngs import PngWriter, paired_source, save_png
from pantile.labels.reading.pairs import Pairs, find_pairs, has_pngs, instance_path, with_instances
from pantile.labels.registry import WRITERS, register_reader
from pantile.labels.report import Report
from pantile.labels.source import LabelSource, ReadOptions

MAX_16 = 2**16 - 1
PAIRS = Numbering(first=1, last=MAX_16, crowd=0, stuff=0, max_class=MAX_16)
SEMANTIC = Numbering(first=1, last=0, crowd=0, stuff=0, max_class=MAX_16)
GREY = (GREY_8, GREY_16, PALETTE)
SEMANTIC_BASES = ("semantic", "labels", "masks")
INSTANCE_BASES = ("instances", "instance")


def _fits_pairs(src: Path) -> str | None:
    semantic, instances = _folder_of(src, SEMANTIC_BASES), _folder_of(src, INSTANCE_BASES)
    return f"PNGs in {semantic} and {instances}" if semantic and instances else None


def _fits_semantic(src: Path) -> str | None:
    semantic, instances = _folder_of(src, SEMANTIC_BASES), _folder_of(src, INSTANCE_BASES)
    return f"PNGs in {semantic}, no {INSTANCE_BASES[0]}" if semantic and not instances else None


def _folder_of(src: Path, bases: tuple[str, ...]) -> str | None:
    """The first folder with PNGs that are not of colours; None where a description says what they are, or no list."""
    if listed_classes(src) is None or is_described(src):
        return None
    return next((base for base in bases if has_pngs(src, base, of_colours=bases == INSTANCE_BASES)), None)


@register_reader("png-pairs", fits=_fits_pairs)
def open_png_pairs(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or classes.
    """
    taxonomy, notes = _taxonomy(src, options)
    pairs = find_pairs(src, SEMANTIC_BASES, options.splits, options.images, options.skip_missing)
    pairs, instances = with_instances(pairs, src, INSTANCE_BASES, options.skip_missing, whole=not options.splits)
    return paired_source(taxonomy, pairs, notes, partial(_read, taxonomy, instances), options.orientation)


@register_reader("semantic", fits=_fits_semantic)
def open_semantic(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or classes.
    """
    taxonomy, notes = _taxonomy(src, options)
    pairs = find_pairs(src, SEMANTIC_BASES, options.splits, options.images, options.skip_missing)
    return paired_source(taxonomy, pairs, notes, partial(_read, taxonomy, None), options.orientation)


def _taxonomy(src: Path, options: ReadOptions) -> tuple[Taxonomy, tuple[str, ...]]:
    path = find_classes(src, options.classes)
    return classes_of(read_classes(path), path, options.things, options.stuff)


def _read(taxonomy: Taxonomy, instances: dict[str, Path] | None, pairs: Pairs, index: int) -> PanopticMap:
    path = pairs.labels[index]
    classes = read_label(path, GREY)
    void = tuple(
        value for value in (0, 255 if classes.dtype == np.uint8 else MAX_16) if value not in taxonomy.index_of_id
    )
    numbers = np.zeros_like(classes)
    if instances is not None:
        numbers = _read_numbers(instance_path(instances[pairs.split], pairs, index))
    return map_from_numbers(classes, numbers, taxonomy, PAIRS if instances else SEMANTIC, void, path)


def _read_numbers(path: Path) -> np.ndarray:
    numbers = read_label(path, (*GREY, RGB_8))
    return rgb_to_ids(numbers) if numbers.ndim == 3 else numbers


@WRITERS.register("semantic")
class SemanticWriter(PngWriter):
    """The semantic PNG alone; the smallest depth that holds the category ids.

    Raises:
        UserError: no value is left for void.
    """

    numbering = SEMANTIC
    folder = "semantic"

    def __init__(self, root: Path, taxonomy: Taxonomy) -> None:
        super().__init__(root, taxonomy)
        ids = taxonomy.index_of_id
        self._dtype = np.uint8 if max(ids) <= 255 and not (0 in ids and 255 in ids) else np.uint16
        candidates = (0, int(np.iinfo(self._dtype).max))
        free = [value for value in candidates if value not in ids]
        if not free:
            raise UserError("The category ids 0 and 65535 are both in use, so no value is left for void: renumber one.")
        self._void = free[0]

    def write(
        self, split: str, image_name: str, image_id: int | str, panoptic: PanopticMap, report: Report
    ) -> PanopticMap:
        """One image. Returns what the format holds."""
        classes, numbers, held = numbers_from_map(panoptic, self.taxonomy, self.numbering, self._void, report)
        name = f"{Path(image_name).stem}.png"
        save_png(classes.astype(self._dtype), self.root / self.folder / split / name)
        self._save_numbers(numbers, self.root / "instances" / split / name)
        return held

    def _save_numbers(self, numbers: np.ndarray, path: Path) -> None:
        """The semantic form has none."""


@WRITERS.register("png-pairs")
class PngPairsWriter(SemanticWriter):
    """Both PNGs; numbers count from 1 in every class, crowd and stuff have 0."""

    numbering = PAIRS

    def _save_numbers(self, numbers: np.ndarray, path: Path) -> None:
        save_png(numbers.astype(np.uint16), path)
