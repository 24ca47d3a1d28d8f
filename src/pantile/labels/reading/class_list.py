"""Classes that a format does not bring along: files that list them, and which are things."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pantile.contracts.clean_text import is_clean
from pantile.contracts.errors import UserError
from pantile.contracts.json_fields import Fields, is_number, read_json, read_text
from pantile.contracts.shortening import short
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color

_HEX = re.compile(r"#?[0-9a-fA-F]{6}")
MAX_CATEGORY = 2**24 - 1
BACKGROUND = {"background", "_background_", "void", "unlabeled", "unlabelled", "ignore"}
CLASS_FILES = (
    "classes.json",
    "categories.json",
    "id2label.json",
    "classes.txt",
    "labels.txt",
    "annotations/classes.json",
    "annotations/categories.json",
    "annotations/panoptic_coco_categories.json",
)


def classes_of(
    entries: Sequence[Fields], source: Path, things: Sequence[str], stuff: Sequence[str], default: bool = True
) -> tuple[Taxonomy, tuple[str, ...]]:
    """COCO's list of categories: ``id``, ``name`` and, where known, ``isthing`` and ``color``.

    Args:
        entries: the categories.
        source: the file or folder they come from, for messages.
        things, stuff: names from the command line; they come before the file's flags. If only one is given, classes
            that it leaves out are of the other kind.
        default: whether a class is a thing of which nothing else is known.

    Returns:
        The taxonomy, and notes for the report.

    Raises:
        UserError: no class, a missing or mistyped field, an id or name twice, or a name on the command line that is no
            class or is given as both kinds.
    """
    if not entries:
        raise UserError(f"{source} names no class: nothing in it could be converted.")
    names = [entry.text("name") for entry in entries]
    _check_names(names, things, stuff)
    if bool(things) != bool(stuff):
        default = not things
    infos, guessed, seen = [], [], set()
    for position, (entry, name) in enumerate(zip(entries, names, strict=True)):
        category_id, is_thing = entry.whole("id", 0, MAX_CATEGORY), entry.flag("isthing", default=default)
        if {("name", name), ("id", category_id)} & seen:
            raise UserError(f"{entry.where} repeats the name {name!r} or the id {category_id}: make both unique.")
        seen |= {("name", name), ("id", category_id)}
        if name in things or name in stuff:
            is_thing = name in things
        elif "isthing" not in entry:
            guessed.append(name)
        infos.append(ClassInfo(name, is_thing, category_id, _color(entry, position)))
    taxonomy = Taxonomy(tuple(infos))
    notes = _notes_on_colors(entries)
    if not guessed:
        return taxonomy, notes
    kind, option = ("things", "--stuff") if default else ("stuff", "--things")
    return taxonomy, (*notes, f"Taken as {kind}, change it with {option}: {', '.join(guessed)}.")


def _check_names(names: Sequence[str], things: Sequence[str], stuff: Sequence[str]) -> None:
    for name in [*things, *stuff]:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(names[:20])}."
            raise UserError(f"--things/--stuff: {name!r} is not a class of the source; {hint}")
    both = sorted(set(things) & set(stuff))
    if both:
        raise UserError(f"--things and --stuff both name {both[0]!r}: leave it in one of them.")


def read_classes(path: Path) -> list[Fields]:
    """Categories of a file, in COCO's fields.

    Args:
        path: ``.txt``, one name a line, ids count from 1; or JSON: a list of categories, an object that holds it as
            ``categories``, or Hugging Face's ``{"1": "person"}`` (an ``id2label``).

    Raises:
        UserError: the file is missing or is none of these.
    """
    if path.suffix.lower() == ".txt":
        names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        bad = [name for name in names if not is_clean(name)]
        if bad:
            raise UserError(f"{path} has a class name with control characters: save it as plain text.")
        return [Fields({"id": k + 1, "name": name}, f"{path}: line {k + 1}") for k, name in enumerate(names)]
    data = read_json(path)
    if isinstance(data, dict) and data and all(isinstance(key, str) and key.isdecimal() for key in data):
        ids = {key: int(key) for key in data if len(key) < 9}
        if len(set(ids.values())) < len(data):
            raise UserError(f"{path} has a class id twice or beyond {MAX_CATEGORY}: give every class its own number.")
        return [Fields({"id": ids[key], "name": data[key]}, f"{path}: class {key}") for key in data]
    if isinstance(data, list):
        data = {"categories": data}
    return Fields.of(data, str(path)).objects("categories", "category")


def without_background(rows: Sequence[Fields]) -> list[Fields]:
    """The rows but for an id 0 that is only a name for void, such as "background"."""
    return [row for row in rows if not (row.data.get("id") == 0 and str(row.data.get("name")).lower() in BACKGROUND)]


def listed_classes(src: Path) -> str | None:
    """The first of ``CLASS_FILES`` that a source has."""
    return next((name for name in CLASS_FILES if (src / name).is_file()), None)


def find_classes(src: Path, given: Path | None) -> Path:
    """The file of classes: the one given, or the first of ``CLASS_FILES`` in the source.

    Raises:
        UserError: there is none.
    """
    if given is not None:
        return given
    for name in CLASS_FILES:
        if (src / name).exists():
            return src / name
    raise UserError(
        f"{src} has no file of classes: write classes.json, a list of objects with id, name and isthing, or name one "
        "with --classes."
    )


def named_classes(names: Sequence[str], path: str, first_id: int = 1) -> list[Fields]:
    """Categories from names alone; ids count from ``first_id``."""
    return [Fields({"id": k, "name": name}, f"{path}: class {k}") for k, name in enumerate(names, start=first_id)]


def _color(entry: Fields, position: int) -> tuple[int, int, int]:
    return as_color(entry.data.get("color")) or default_color(position)


def _notes_on_colors(entries: Sequence[Fields]) -> tuple[str, ...]:
    odd = [entry for entry in entries if entry.data.get("color") and as_color(entry.data["color"]) is None]
    if not odd:
        return ()
    first = f"{odd[0].text('name')!r} has {short(odd[0].data['color'])}"
    return (f"{len(odd)} classes have a color that cannot be read and got another, first {first}.",)


def as_color(value: Any) -> tuple[int, int, int] | None:
    """RGB, each 0..255, of three numbers, with fractions or not, or of a text ``#rrggbb``; None for anything else.

    Nothing but the look of pictures depends on it.
    """
    if isinstance(value, str) and _HEX.fullmatch(value.strip()):
        return tuple(bytes.fromhex(value.strip().lstrip("#")))
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    if not all(is_number(part) and 0 <= part <= 255 for part in value):
        return None
    return tuple(round(part) for part in value)
