"""Which format a folder or file is of, by what lies in it: ``--from auto``, and a remedy where another was named.

Every format says itself whether files are its own (``LabelReader.fits``); layouts of data sets do by their marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.data.layouts import LAYOUTS, layout_of
from pantile.labels.other_exports import other_export
from pantile.labels.registry import readers

AUTO = "auto"


@dataclass(frozen=True)
class Seen:
    """
    Attributes:
        name: of a format, as ``--from`` takes it.
        saw: what gave it away.
    """

    name: str
    saw: str

    def __str__(self) -> str:
        return f"{self.name} ({self.saw})"


def recognise(src: Path) -> list[Seen]:
    """The formats that fit; several where the files allow of several meanings.

    Args:
        src: a folder, or a file where the format is one.
    """
    layout = layout_of(src)
    found = [] if layout is None else [Seen(layout, LAYOUTS[layout].marks)]
    for name, reader in readers().items():
        saw = reader.fits(src) if reader.fits is not None and name != layout else None
        if saw is not None:
            found.append(Seen(name, saw))
    return found


def choose_format(src: Path) -> Seen:
    """The one format that fits.

    Raises:
        UserError: none does, or several do.
    """
    found = recognise(src)
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"--from {seen.name}" for seen in found)
        raise UserError(f"{src} may be {' or '.join(map(str, found))}: say which with {names}.")
    other = other_export(src)
    if other is not None:
        raise UserError(f"{src} {other}")
    raise UserError(
        f"{src} is of no format that is recognised; it has {_contents(src)}. Name the folder that an export was "
        "unpacked into, or say --from FORMAT (docs/formats.md)."
    )


def remedy(src: Path, asked: str) -> str:
    """What a source is instead of what was asked for, as a sentence; empty where nothing else is certain."""
    found = recognise(src)
    if any(seen.name == asked for seen in found):
        return ""
    if len(found) == 1:
        return f"It looks like {found[0]}: try --from {found[0].name}."
    other = None if found else other_export(src)
    return "" if other is None else f"It {other}"


def _contents(src: Path) -> str:
    if src.is_file():
        return "one file"
    names = sorted(path.name for path in src.iterdir() if not path.name.startswith("."))
    return _listed(names) if names else "nothing in it"


def _listed(names: Sequence[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
