"""Folders of videos, each with a PNG per frame."""

import struct
from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import MAGIC


def folders_of(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def frames_in(folder: Path) -> dict[str, Path]:
    """Frame -> PNG, by name."""
    files = sorted(path for path in folder.iterdir() if path.suffix == ".png" and not path.name.startswith("."))
    return {path.stem: path for path in files}


def frame_files(folder: Path, inner: str = "") -> dict[str, dict[str, Path]]:
    """Video -> frame -> PNG, both by name; videos without a PNG are there with no frames.

    Args:
        inner: the folder of the PNGs inside that of a video, where there is one.

    Raises:
        UserError: there is no folder, or none with a PNG in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name one with a folder of PNGs for each video.")
    files = {}
    for video in folders_of(folder):
        inside = video / inner
        files[video.name] = frames_in(inside if inside.is_dir() else video)
    if not any(files.values()):
        raise UserError(f"{folder} has no folder with PNGs in it: name one with a folder of PNGs for each video.")
    return files


def channels_of(path: Path) -> int | None:
    """1 of a grey or palette PNG, 3 or 4 of one with colours; None where the file is none."""
    if not path.is_file():  # opening a pipe would wait for whoever writes into it
        return None
    try:
        with path.open("rb") as file:
            start = file.read(26)
    except OSError:
        return None
    if not start.startswith(MAGIC) or len(start) < 26:
        return None
    return {0: 1, 3: 1, 2: 3, 6: 4}.get(struct.unpack_from(">B", start, 25)[0])
