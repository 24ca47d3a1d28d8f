"""The chunks of a PNG whose checksums are right."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import MAGIC

_LENGTH_AND_KIND, _CHECKSUM, _HEADER = struct.Struct(">I4s"), struct.Struct(">I"), struct.Struct(">IIBBBBB")


class PngChunks(NamedTuple):
    """
    Attributes:
        width, height: pixels, at least 1.
        bits: of a channel.
        colour: the colour type, 0 for grey, 2 for RGB and so on.
        interlaced: whether the pixels come in several passes.
        kinds: of all chunks, in their order.
        pixels: the bodies of the IDAT chunks, one zlib stream together.
    """

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool
    kinds: Sequence[bytes]
    pixels: Sequence[memoryview]


def png_chunks(path: Path, content: bytes) -> PngChunks:
    """Reads up to IEND. Decoders skip the checksums of pixels, and a flipped bit may decode to another valid segment.

    Args:
        path: for messages.
        content: of the file.

    Raises:
        UserError: the file is no PNG, or not whole, or a checksum is wrong, or it has no pixel.
    """
    damaged = UserError(f"{path} is not an intact PNG file: replace it.")
    if not content.startswith(MAGIC):
        raise damaged
    view, position = memoryview(content), len(MAGIC)
    kinds: list[bytes] = []
    pixels: list[memoryview] = []
    while not kinds or kinds[-1] != b"IEND":
        if position + 12 > len(content):
            raise damaged
        length, kind = _LENGTH_AND_KIND.unpack_from(content, position)
        end = position + 8 + length
        if end + 4 > len(content) or zlib.crc32(view[position + 4 : end]) != _CHECKSUM.unpack_from(content, end)[0]:
            raise damaged
        if not kinds and (kind != b"IHDR" or length != 13):
            raise damaged
        if kind == b"IDAT":
            pixels.append(view[position + 8 : end])
        kinds.append(kind)
        position = end + 4
    width, height, bits, colour, _, _, interlace = _HEADER.unpack_from(content, len(MAGIC) + 8)
    if not width or not height:
        raise damaged
    return PngChunks(width, height, bits, colour, bool(interlace), kinds, pixels)
