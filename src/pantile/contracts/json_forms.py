"""JSON files whose form is a type: read with suspicion, and refused in one sentence.

``json_fields`` is for files of which a reader takes what it finds; what both hold of texts, numbers, flags and names of
files is the same.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainValidator, Strict, TypeAdapter, ValidationError

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import is_inside
from pantile.contracts.flags import as_flag
from pantile.contracts.input_files import regular_file
from pantile.contracts.json_fields import is_identifier
from pantile.contracts.shortening import short

Form = TypeVar("Form")


def _flag(value: Any) -> bool:
    if (flag := as_flag(value)) is None:
        raise ValueError("it should be 0 or 1")
    return flag


def _identifier(value: Any) -> int | str:
    if not is_identifier(value):
        raise ValueError("it should be a whole number or a text")
    return value


def _inside_folder(name: Any) -> Any:
    if isinstance(name, str) and not is_inside(name):
        raise ValueError("it should name a file inside its folder")
    return name


def _png(name: Any) -> Any:
    if isinstance(name, str) and not name.lower().endswith(".png"):
        raise ValueError("it should name the PNG of the ids")
    return name


Flag = Annotated[bool, PlainValidator(_flag)]
Whole = Annotated[int, Strict()]
Text = Annotated[str, Strict()]
Identifier = Annotated[int | str, PlainValidator(_identifier)]
FileName = Annotated[str, Strict(), BeforeValidator(_inside_folder)]
PngName = Annotated[FileName, BeforeValidator(_png)]


def read_json_as(path: Path, form: TypeAdapter[Form], what: str) -> Form:
    """
    Args:
        what: the file should be, for messages, such as "a VIPSeg JSON".

    Raises:
        UserError: it cannot be read, is no JSON, or holds something else; names the first mistake.
    """
    try:
        return form.validate_json(regular_file(path).read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name {what}.") from None
    except ValidationError as error:
        raise UserError(f"{path} {_sentence(error, what)}") from None


def _sentence(error: ValidationError, what: str) -> str:
    """The first mistake, where it is and what should be there."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"is not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')}): write it anew."
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        parent, _, field = where.rpartition(".")
        return f"is not {what}: {parent or 'it'} lacks the field {field!r}, so add it."
    wanted = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"is not {what}: {where or 'the file'} is {short(first['input'], 60)}, but {wanted}."
