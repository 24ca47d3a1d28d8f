"""Three-channel maps of Hugging Face's training examples: R is the class, G the number of the instance, B is empty.

::

    root/annotations/<split>/*.png      or root/annotation/<split>/*.png
    root/id2label.json                  {"0": "background", "1": "person", ...}, or any of ``class_list.CLASS_FILES``
    root/images/<split>/*               or root/<split>/*

Class 0 is void, as ``do_reduce_labels`` makes it, unless the classes give it another name than background. A thing with
number 0 is not separated: crowd.
"""

from functools import partial
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_files import RGB_8, read_label
from pantile.labels.reading.class_list import classes_of, find_classes, listed_classes, read_classes, without_background
from pantile.labels.reading.class_numbers import Numbering, map_from_numbers
from pantile.labels.reading.label_pngs import paired_source
from pantile.labels.reading.looking import files_of, is_rgb_png
from pantile.labels.reading.pairs import Pairs, find_pairs
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, ReadOptions

NUMBERING = Numbering(first=1, last=255, crowd=0, stuff=0, max_class=255)
VOID = 0
BASES = ("annotations", "annotation")


def _fits(src: Path) -> str | None:
    """Only with a list of classes: the folders have these names in many data sets."""
    listed = listed_classes(src)
    first = [path for base in BASES for path in files_of(src / base, ".png", 1)]
    base = first[0].relative_to(src).parts[0] if first else ""
    if listed is None or not first or any((src / base).glob("panoptic_*")) or not is_rgb_png(first[0]):
        return None
    return f"RGB PNGs in {base}, and {listed}"


@register_reader("three-channel", fits=_fits)
def open_three_channel(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: missing labels, images or classes.
    """
    path = find_classes(src, options.classes)
    taxonomy, notes = classes_of(without_background(read_classes(path)), path, options.things, options.stuff)
    pairs = find_pairs(src, BASES, options.splits, options.images, options.skip_missing)
    return paired_source(taxonomy, pairs, notes, partial(_read, taxonomy), options.orientation)


def _read(taxonomy: Taxonomy, pairs: Pairs, index: int) -> PanopticMap:
    path = pairs.labels[index]
    pixels = read_label(path, (RGB_8,))
    if pixels[..., 2].any():
        raise UserError(f"{path} has values in its third channel, which this format leaves 0: is it COCO-panoptic?")
    void = () if VOID in taxonomy.index_of_id else (VOID,)
    return map_from_numbers(pixels[..., 0], pixels[..., 1], taxonomy, NUMBERING, void, path)
