"""What to write for a field that takes a list of numbers, told to somebody who wrote something else."""

import re
from typing import Any, get_args, get_origin

from pantile.contracts.shortening import short

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def list_sentence(field: str, annotation: Any, value: Any) -> str | None:
    """
    Args:
        field: its name with dots.
        annotation: the field's type.
        value: what was given.

    Returns:
        A sentence with the list that was probably meant: ``augment.crop=256`` is answered with ``[256,256]``. None for
        a field that takes no plain list, or a list of the right length (then an entry is wrong).
    """
    shape = next((own for own in (annotation, *get_args(annotation)) if get_origin(own) is tuple), None)
    if shape is None or any(get_origin(entry) is tuple for entry in get_args(shape)):
        return None
    entries = get_args(shape)
    length = None if entries[-1] is Ellipsis else len(entries)
    if isinstance(value, list | tuple) and length in (None, len(value)):
        return None
    wanted = "a list of numbers" if length is None else f"a list of {length} numbers"
    example = _guess(value, length, whole=entries[0] is int)
    hint = f"not {short(value)}" if example is None else f'so write "{field}={example}"'
    return f"{field} takes {wanted}, {hint}"


def _guess(value: Any, length: int | None, whole: bool) -> str | None:
    """``256``, ``256x512`` or ``(256, 512)`` as ``[256,256]`` or ``[256,512]``; None where nothing fits."""
    given = value if isinstance(value, list | tuple) else [value]
    numbers = [number for one in given for number in _NUMBER.findall(str(one))]
    if not numbers or (whole and not all(number.isdecimal() for number in numbers)):
        return None
    if length is not None and len(numbers) != length:
        if len(set(numbers)) != 1:
            return None
        numbers = numbers[:1] * length
    return f"[{','.join(numbers)}]"
