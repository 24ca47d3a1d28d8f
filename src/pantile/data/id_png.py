"""Writing ids as a COCO-panoptic PNG, stripe by stripe: an encoder that takes a whole image holds it two more times."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pantile.contracts.atomic import replacing
from pantile.contracts.label_pngs import MAGIC
from pantile.contracts.panoptic import ids_to_rgb

_STRIPE = 2**22  # pixels
_UP = 2  # filter of a row: its difference to the row above (PNG specification, 9.2), mostly 0 in a map of segments


def save_ids(ids: np.ndarray, path: Path) -> None:
    """Writes (H, W) integers 0..2**24-1 as 8-bit RGB, id = R + 256 G + 65536 B; atomic."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        write_ids(ids, file)


def write_ids(ids: np.ndarray, file: BinaryIO) -> None:
    """``save_ids`` to an open file."""
    height, width = ids.shape
    file.write(MAGIC + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
    packer = zlib.compressobj(1)
    for rows in _filtered(ids):
        file.write(_chunk(b"IDAT", packer.compress(rows)))
    file.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _filtered(ids: np.ndarray) -> Iterator[np.ndarray]:
    """(h, 1 + 3 W) uint8: the number of the filter, and the filtered bytes of each row."""
    height, width = ids.shape
    above = np.zeros((1, width, 3), dtype=np.uint8)
    step = max(1, _STRIPE // width)
    for top in range(0, height, step):
        rgb = ids_to_rgb(ids[top : top + step])
        rows = np.empty((len(rgb), 1 + 3 * width), dtype=np.uint8)
        rows[:, 0] = _UP
        rows[:, 1:] = (rgb - np.concatenate([above, rgb[:-1]])).reshape(len(rgb), -1)
        above = rgb[-1:]
        yield rows


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
