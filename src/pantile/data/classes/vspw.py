"""VSPW's classes, by the data set's own file of names and stored values."""

import json
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.classes.plain import semantic_taxonomy

NAMES = "label_num_dic_final.json"
VOID = 255  # in its label PNGs, as 0 is


def read_vspw_classes(path: Path) -> Taxonomy:
    """In the order of their values; what is stored as 0 or 255 is void and no class.

    Raises:
        UserError: the file cannot be read, or its values are not 1, 2, 3 and so on.
    """
    try:
        values = json.loads(regular_file(path).read_text(encoding="utf-8"))
        named = sorted((int(value), str(name)) for name, value in values.items())
    except (OSError, ValueError, AttributeError, TypeError):
        raise UserError(f"{path} is no list of names and values: restore the file of the data set.") from None
    named = [(value, name) for value, name in named if value not in (0, VOID)]
    if [value for value, _ in named] != list(range(1, len(named) + 1)) or not named:
        raise UserError(f"{path}: the values of its classes are not 1, 2, ... each once: restore it.")
    return semantic_taxonomy([name for _, name in named], [value for value, _ in named])
