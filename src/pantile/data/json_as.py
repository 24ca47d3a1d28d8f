"""Reading a JSON file whose form is a type."""

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file

Form = TypeVar("Form")


def read_json_as(path: Path, form: TypeAdapter[Form], what: str) -> Form:
    """
    Args:
        what: the file should be, for messages, such as "a VIPSeg JSON".

    Raises:
        UserError: it cannot be read, or names the first place that is wrong.
    """
    try:
        return form.validate_json(regular_file(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name {what}.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its start"
        raise UserError(f"{path} is not {what}: at {place}: {first['msg']}.") from None
