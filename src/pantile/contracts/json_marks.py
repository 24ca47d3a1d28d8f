"""What a JSON file holds, told from its bytes: it is neither parsed nor held in memory."""

import mmap
import re
from pathlib import Path


def json_matches(path: Path, *patterns: bytes) -> list[bool]:
    """Whether each pattern occurs; no for any other file, and where it cannot be read: the reader will say so."""
    absent = [False] * len(patterns)
    if path.suffix.lower() != ".json" or not path.is_file():
        return absent
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [re.search(pattern, content) is not None for pattern in patterns]
    except (OSError, ValueError):  # an empty file cannot be mapped
        return absent


def json_has(path: Path, *names: str) -> list[bool]:
    """Whether each is the name of a field."""
    return json_matches(path, *(rb'"%s"\s*:' % re.escape(name.encode()) for name in names))
