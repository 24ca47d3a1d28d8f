"""Files that say which colour is which class: CVAT's and VOC's label map, CamVid's list, tables, JSON."""

import csv
import re
from pathlib import Path

from pantile.contracts.clean_text import is_clean
from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, read_json, read_text
from pantile.labels.reading.class_list import BACKGROUND, read_classes

PALETTES = (
    "labelmap.txt",
    "label_colors.txt",
    "class_dict.csv",
    "_classes.csv",
    "classes.csv",
    "palette.csv",
    "palette.txt",
    "palette.json",
    "classes.json",
    "obj_class_to_machine_color.json",
)
_SPLIT = re.compile(r"[\s,;]+")


def find_palette(src: Path, given: Path | None) -> Path:
    """The file with colours: the one given, or the first of ``PALETTES`` in the source.

    Raises:
        UserError: there is none.
    """
    if given is not None:
        return given
    for name in PALETTES:
        if (src / name).is_file():
            return src / name
    raise UserError(
        f"{src} has no file that says which colour is which class ({', '.join(PALETTES[:3])}, ...): name one with "
        "--classes, a line 'name,R,G,B' each."
    )


def read_palette(path: Path) -> tuple[list[Fields], set[int]]:
    """
    Args:
        path: ``name:R,G,B:parts:actions`` (VOC, CVAT), ``R G B name`` (CamVid), a table ``name,R,G,B``, or JSON: a list
            of classes with ``color``, or an object ``{"name": [R, G, B]}`` (Supervisely).

    Returns:
        Classes in COCO's fields with ids from 1, without those whose names mean void; and the colours of these,
        R + 256 G + 65536 B.

    Raises:
        UserError: the file is none of these, or two classes have one colour.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _text_rows(path)
    classes, void, owner = [], set(), {}
    for where, name, colour in rows:
        if len(colour) != 3 or not all(
            isinstance(c, int) and not isinstance(c, bool) and 0 <= c <= 255 for c in colour
        ):
            raise UserError(f"{where} has no colour of three whole numbers from 0 to 255: write name,R,G,B.")
        code = colour[0] + 256 * colour[1] + 65536 * colour[2]
        if code in owner:
            raise UserError(f"{where} has the colour of {owner[code]!r}: give each class its own.")
        owner[code] = name
        if name.lower() in BACKGROUND:
            void.add(code)
        else:
            classes.append(Fields({"id": len(classes) + 1, "name": name, "color": list(colour)}, where))
    if not classes:
        raise UserError(f"{path} has no class with a colour: write a line 'name,R,G,B' for each.")
    return classes, void


Row = tuple[str, str, list[int]]


def _json_rows(path: Path) -> list[Row]:
    data = read_json(path)
    named = isinstance(data, dict) and "categories" not in data
    if named and data and all(isinstance(value, list) for value in data.values()):
        return [(f"{path}: {name}", name, value) for name, value in data.items()]
    entries = read_classes(path)
    return [(entry.where, entry.text("name"), entry.items("color")) for entry in entries]


def _text_rows(path: Path) -> list[Row]:
    lines = list(enumerate(read_text(path).splitlines(), start=1))
    rows = [_text_row(line, f"{path}: line {n}") for n, line in lines if line.strip() and not line.startswith("#")]
    return [row for row in rows if row is not None]


def _text_row(line: str, where: str) -> Row | None:
    """None for the line of a table's titles."""
    if ":" in line:
        name, _, colour = line.partition(":")
        values = colour.partition(":")[0].split(",")
    else:
        cells = [cell.strip() for cell in next(csv.reader([line]))] if "," in line else _SPLIT.split(line.strip())
        at_start = len(cells) > 3 and all(cell.isdecimal() for cell in cells[:3])
        name = " ".join(cells[3:]) if at_start else " ".join(cells[:-3])
        values = cells[:3] if at_start else cells[-3:]
    values = [value.strip() for value in values]
    if not all(value.isascii() and value.isdecimal() and len(value) < 4 for value in values):
        if [value.lower() for value in values] in (["r", "g", "b"], ["red", "green", "blue"]):
            return None
        raise UserError(f"{where} has no colour of three whole numbers: write name,R,G,B.")
    if not name.strip() or not is_clean(name):
        raise UserError(f"{where} has no name beside its colour: write name,R,G,B.")
    return where, name.strip(), [int(value) for value in values]
