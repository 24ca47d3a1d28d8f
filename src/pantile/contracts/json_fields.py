"""JSON from elsewhere, read with suspicion: every field is asked for with its type, every path stays in its folder."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pantile.contracts.clean_text import is_clean
from pantile.contracts.errors import UserError
from pantile.contracts.flags import as_flag
from pantile.contracts.input_files import regular_file
from pantile.contracts.shortening import short

REQUIRED = object()


def read_text(path: Path, encodings: tuple[str, ...] = ("utf-8-sig",)) -> str:
    """The file's text in the first encoding that fits.

    Raises:
        UserError: the file cannot be read, or has none of the encodings.
    """
    try:
        content = regular_file(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): restore the file.") from None
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path} is not text in UTF-8: save it anew in that encoding.")


def read_json(path: Path, encodings: tuple[str, ...] = ("utf-8-sig",)) -> Any:
    """
    Raises:
        UserError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path, encodings))
    except (ValueError, RecursionError) as error:  # also numbers and nestings beyond what Python reads
        raise UserError(f"{path} is not valid JSON ({error}): write it anew.") from None


@dataclass(frozen=True)
class Fields:
    """An object of a JSON or YAML file.

    Attributes:
        data: the object.
        where: file and place, for messages: ``"labels.json: annotation 3"``.
    """

    data: dict
    where: str

    @classmethod
    def of(cls, data: Any, where: str) -> "Fields":
        """
        Raises:
            UserError: ``data`` is not an object.
        """
        if not isinstance(data, dict):
            raise UserError(f"{where} is not an object with named fields: correct it.")
        return cls(data, where)

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def get(self, key: str, wanted: str, default: Any = REQUIRED) -> Any:
        """The value as it is; a null counts as missing."""
        if key in self:
            return self.data[key]
        if default is REQUIRED:
            raise UserError(f"{self.where} lacks the field {key!r}: give it {wanted}.")
        return default

    def wrong(self, key: str, wanted: str) -> UserError:
        return UserError(f"{self.where} has the field {key!r} = {short(self.data.get(key))}: give it {wanted}.")

    def text(self, key: str, default: Any = REQUIRED) -> str:
        value = self.get(key, "a text", default)
        if value is default:
            return value
        if not isinstance(value, str) or not value or not is_clean(value):
            raise self.wrong(key, "a text without control characters")
        return value

    def whole(self, key: str, low: int, high: int, default: Any = REQUIRED) -> int:
        wanted = f"a whole number from {low} to {high}"
        value = self.get(key, wanted, default)
        if value is default:
            return value
        if not is_whole(value) or not low <= value <= high:
            raise self.wrong(key, wanted)
        return value

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        value = self.get(key, "0 or 1", default)
        flag = as_flag(value)
        if flag is None:
            raise self.wrong(key, "0 or 1")
        return flag

    def identifier(self, key: str) -> int | str:
        """An id of COCO's JSON: a whole number or a text."""
        value = self.get(key, "a whole number or a text")
        if not is_identifier(value):
            raise self.wrong(key, "a whole number or a text")
        return value if isinstance(value, int) else self.text(key)

    def items(self, key: str) -> list:
        value = self.get(key, "a list")
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def objects(self, key: str, what: str) -> list["Fields"]:
        """A list of objects; ``what`` names one of them in messages."""
        return [Fields.of(entry, f"{self.where}: {what} {n}") for n, entry in enumerate(self.items(key))]

    def points(self, key: str) -> list[tuple[float, float]]:
        """A list of pairs of finite numbers."""
        wanted = "a list of [x, y] pairs"
        pairs = self.get(key, wanted)
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair)) for pair in pairs
        ):
            raise self.wrong(key, wanted)
        return [(float(x), float(y)) for x, y in pairs]


def is_whole(value: Any) -> bool:
    """An int, and not true or false."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_identifier(value: Any) -> bool:
    """What COCO's JSON may have as the id of an image."""
    return is_whole(value) or isinstance(value, str)


def is_number(value: Any) -> bool:
    """A finite int or float; JSON as Python reads it may hold NaN, infinity and integers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and not _is_nan(value)


def path_inside(root: Path, name: str, where: str, base: Path | None = None) -> Path:
    """The file that a label file names. Compared by text, so links that the person made keep working.

    Args:
        root: the folder that the path may not leave.
        name: as the label file says; backslashes count as slashes.
        where: file and field, for messages.
        base: what a relative name starts from; None for ``root``.

    Raises:
        UserError: the path leads outside of ``root``.
    """
    top = os.path.abspath(root)  # noqa: PTH100 - Path.resolve would follow links
    full = os.path.abspath(Path(base or root) / name.replace("\\", "/"))  # noqa: PTH100
    if not is_clean(name) or full == top or not Path(full).is_relative_to(top) or ":" in name.split("/")[0][:2]:
        raise UserError(f"{where} names the file {short(name)}, which is not inside {root}: name a file in it.")
    return Path(full)


def _is_nan(value: float) -> bool:
    return isinstance(value, float) and math.isnan(value)
