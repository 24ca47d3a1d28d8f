"""Values of somebody's file in messages: shortened while the text is built, not afterwards.

A few lines of YAML whose aliases nest can stand for more than a memory holds, and ``repr`` writes all of it.
"""

import datetime
import itertools
import reprlib
from pathlib import PurePath
from typing import Any

from pantile.contracts.clean_text import is_clean

LIMIT = 80


def short(value: Any, limit: int = LIMIT) -> str:
    """``repr`` in one line of at most ``limit`` characters; the work does not grow with the value.

    Args:
        value: anything that JSON or YAML holds.
        limit: characters, at least 8.
    """
    text = " ".join(_Short(limit).repr(value).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class _Short(reprlib.Repr):
    """Visits a few values of each of a few levels, and of each text no more than is shown."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 4
        self.maxstring = limit

    def repr_instance(self, value: Any, level: int) -> str:
        """Scalars, and subclasses of what has a rule of its own."""
        for kind in (list, tuple, dict, set, frozenset, str, bytes):
            if isinstance(value, kind):
                return getattr(self, f"repr_{kind.__name__}")(value, level)
        known = value is None or isinstance(value, bool | int | float | datetime.date | datetime.time | PurePath)
        return repr(value) if known else type(value).__name__

    def repr_str(self, value: str, level: int) -> str:
        part = value[: self.maxstring]
        return repr(part) if is_clean(part) else ascii(part)

    def repr_int(self, value: int, level: int) -> str:
        bits = value.bit_length()  # Python prints no number beyond 4300 digits, and slowly those below
        return repr(value) if bits <= 1000 else f"a number of {bits} bits"

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[: self.maxstring])

    def repr_dict(self, value: dict, level: int) -> str:  # the library's sorts all keys first
        if level <= 0 and value:
            return "{...}"
        first = itertools.islice(value.items(), self.maxdict)
        shown = [f"{self.repr1(key, level - 1)}: {self.repr1(own, level - 1)}" for key, own in first]
        return "{" + ", ".join(shown + ["..."] * (len(value) > self.maxdict)) + "}"

    def repr_set(self, value: set, level: int) -> str:
        return "{" + ", ".join(self.repr1(own, level - 1) for own in itertools.islice(value, self.maxset)) + "}"
