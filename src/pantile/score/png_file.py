"""Reading label PNGs of which nothing is known: the values as stored, or one sentence why not."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.label_pngs import (
    GREY_8,
    GREY_16,
    HEADER_BYTES,
    MAGIC,
    PALETTE,
    RGB_8,
    check_kind,
    check_palette,
)
from pantile.contracts.large_images import check_memory, without_pixel_limit
from pantile.contracts.panoptic import rgb_to_ids

_PIXEL_BYTES = 4  # of an RGB image in Pillow, and of an id


def read_id_png(path: Path) -> np.ndarray:
    """A COCO-panoptic PNG: (H, W) int32, R + 256 G + 65536 B.

    Raises:
        UserError: the file is missing, damaged, or not RGB with 8 bits a channel.
    """
    image = _decoded(path, (RGB_8,))
    pixels = np.frombuffer(image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA"), dtype=np.uint8)
    return rgb_to_ids(pixels.reshape(image.height, image.width, 4))


def read_grey_png(path: Path) -> np.ndarray:
    """A label PNG of one channel: (H, W) int32; of a palette PNG the indices, not the colours.

    Raises:
        UserError: the file is missing, damaged, or not of one channel with 8 or 16 bits.
    """
    image = _decoded(path, (GREY_8, GREY_16, PALETTE))
    check_palette(image, path)
    return np.asarray(image).astype(np.int32)


def _decoded(path: Path, kinds: tuple[str, ...]) -> Image.Image:
    try:
        content = regular_file(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): restore the file.") from None
    size = _checked_size(path, content)
    check_kind(content[:HEADER_BYTES], kinds, path)
    check_memory(path, size, _PIXEL_BYTES, "split it into smaller images")
    try:
        with without_pixel_limit():
            image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:  # what Pillow raises on damaged files
        raise UserError(f"{path} does not decode ({' '.join(str(error).split())}): replace the file.") from None
    return image


def _checked_size(path: Path, content: bytes) -> tuple[int, int]:
    """(height, width) of a PNG whose checksums are right.

    Decoders skip the checksums of pixels, and a flipped bit may decode to another valid segment.
    """
    damaged = UserError(f"{path} is not an intact PNG file: replace it.")
    if not content.startswith(MAGIC):
        raise damaged
    position, kind, header = len(MAGIC), b"", b""
    while kind != b"IEND":
        if position + 12 > len(content):
            raise damaged
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        body = memoryview(content)[position + 4 : end]
        if end + 4 > len(content) or zlib.crc32(body) != struct.unpack_from(">I", content, end)[0]:
            raise damaged
        if not header:
            if kind != b"IHDR" or length != 13:
                raise damaged
            header = bytes(body[4:])
        position = end + 4
    width, height = struct.unpack_from(">II", header)
    if not width or not height:
        raise damaged
    return height, width
