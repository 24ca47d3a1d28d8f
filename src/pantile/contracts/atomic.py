"""Writing files so that a reader sees the old content or the new, never half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends, and vanishes when it fails.

    >>> with replacing(Path("result.json")) as temporary:
    ...     temporary.write_text("{}")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, os.fspath(temporary)):  # what was to be written is what people know
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
