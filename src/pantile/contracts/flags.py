"""Yes or no, in the types in which JSON files have it."""

from typing import Any

_WORDS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def as_flag(value: Any) -> bool | None:
    """0 and 1 as whole number, fraction, JSON's true and false, or one of these as text; None for anything else."""
    if isinstance(value, int | float):  # bool is an int
        return bool(value) if value in (0, 1) else None
    return _WORDS.get(value.strip().lower()) if isinstance(value, str) and len(value) < 10 else None
