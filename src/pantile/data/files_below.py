"""The files of a folder and of the folders in it, whatever their depth."""

import os
from collections.abc import Sequence
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.data.missing import names_in


def images_by_stem(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, nested: bool = True) -> dict[str, Path]:
    """Files of a folder, and of folders in it, by path below it without ending, sorted; hidden ones left out.

    Args:
        nested: False leaves folders in it alone.

    Raises:
        UserError: two files of one stem, which would share one label.
    """
    found: dict[str, Path] = {}
    for path in files_in(folder, suffixes, nested):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise UserError(f"{path} and {found[stem].name} would share one label: rename one of them.")
        found[stem] = path
    return found


def files_in(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, nested: bool = True) -> list[Path]:
    """Files with one of the endings, in a folder and the folders in it; hidden ones left out. The top comes first."""
    found: list[Path] = []
    seen: set[str] = set()  # links may lead in circles
    for top, folders, _ in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if nested and not name.startswith("."))
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        names = sorted(name for name in names_in(Path(top)) if not name.startswith("."))
        own = [Path(top, name) for name in names if name.lower().endswith(tuple(suffixes))]
        found += [path for path in own if not path.is_dir()]
    return found
