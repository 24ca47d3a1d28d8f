"""Label maps in which a colour is a class, and in a second map any colour but black an instance."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.label_files import read_label_colours
from pantile.labels.reading.class_list import classes_of
from pantile.labels.reading.class_numbers import Numbering, map_from_numbers
from pantile.labels.reading.palette_file import find_palette, read_palette
from pantile.labels.source import LeftOut, Note, ReadOptions

VOID = 0
_NUMBERING = Numbering(first=1, last=2**24 - 1, crowd=0, stuff=0, max_class=2**24 - 1)
_BLACK, _VOC_BORDER = 0, 224 + 256 * 224 + 65536 * 192


@dataclass(frozen=True)
class ColourMaps:
    """
    Attributes:
        taxonomy: category ids count from 1 in the order of the palette.
        notes: for the report.
        id_of_colour: R + 256 G + 65536 B to category id, or to ``VOID``.
        palette: its file.
    """

    taxonomy: Taxonomy
    notes: tuple[Note, ...]
    id_of_colour: dict[int, int]
    palette: Path

    def read(self, path: Path, instances: Path | None) -> PanopticMap:
        """
        Args:
            path: PNG of classes.
            instances: PNG of instances; None where there is none, and things become crowd.

        Raises:
            UserError: a file does not decode, sizes differ, or a colour is not in the palette.
        """
        pixels = read_label_colours(path)
        colours, place = np.unique(pixels, return_inverse=True)
        unknown = [k for k, colour in enumerate(colours.tolist()) if colour not in self.id_of_colour]
        if unknown:
            code, count = int(colours[unknown[0]]), int(np.isin(place, unknown).sum())
            raise UserError(
                f"{path} has {count} pixels of colours that {self.palette} lacks, such as {code & 255},"
                f"{code >> 8 & 255},{code >> 16}: add them there (name void for no class), or save masks without "
                "smoothing, as PNG."
            )
        classes = np.array([self.id_of_colour[colour] for colour in colours.tolist()])[place].reshape(pixels.shape)
        numbers = np.zeros_like(pixels) if instances is None else read_label_colours(instances)
        return map_from_numbers(classes, numbers, self.taxonomy, _NUMBERING, (VOID,), path)


def open_colour_maps(src: Path, options: ReadOptions) -> ColourMaps:
    """
    Raises:
        UserError: no palette, or one that is wrong.
    """
    path = find_palette(src, options.classes)
    rows, void = read_palette(path)
    taxonomy, notes = classes_of(rows, path, options.things, options.stuff)
    if void:
        notes = (*notes, LeftOut("classes", len(void), f"{len(void)} classes of {path} are void, by their names."))
    ids = dict.fromkeys((_VOC_BORDER, _BLACK, *void), VOID)
    for info in taxonomy.classes:
        red, green, blue = info.color
        ids[red + 256 * green + 65536 * blue] = info.id
    return ColourMaps(taxonomy, notes, ids, path)
