"""Images that labels name and that are not there: refused with their names, or left out and noted."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pantile.data.missing import MissingFiles, left_out, settle_missing
from pantile.labels.source import LeftOut


def present(
    paths: Sequence[Path], what: str, skip: bool, annotations: Callable[[int], int] | None = None
) -> tuple[list[int], tuple[LeftOut, ...]]:
    """Which files exist.

    Args:
        paths: in the source's order.
        what: of what, such as ``"images that labels.json names"``.
        skip: the others may be left out.
        annotations: position to the number of annotations that are left out with the file.

    Returns:
        Positions, and notes for the report where some are left out.

    Raises:
        UserError: files are missing and may not be, or all of them are.
    """
    there = [os.path.isfile(path) for path in paths]  # noqa: PTH113 - Path.is_file raises for names that are too long
    missing = [path for path, own in zip(paths, there, strict=True) if not own]
    if missing and (not skip or len(missing) == len(paths)):
        settle_missing(missing, len(paths), what, skip)
    kept = [k for k, own in enumerate(there) if own]
    if not missing:
        return kept, ()
    notes = (LeftOut("images", len(missing), left_out(missing, len(paths), what)),)
    lost = sum(annotations(k) for k, own in enumerate(there) if not own) if annotations else 0
    if lost:
        notes = (*notes, LeftOut("annotations", lost, f"{lost:,} annotations of these were left out with them."))
    return kept, notes


@contextmanager
def noting_missing(notes: list[LeftOut]) -> Iterator[None]:
    """What readers of data sets warn about missing files becomes notes; other warnings stay warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, MissingFiles):
            notes.append(LeftOut("images", warning.message.count, str(warning.message)))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
