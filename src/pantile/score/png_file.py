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
    PALETTE,
    RGB_8,
    check_kind,
    check_palette,
)
from pantile.contracts.large_images import check_memory, without_pixel_limit
from pantile.contracts.panoptic import rgb_to_ids
from pantile.data.fast_png import decode_plain
from pantile.data.png_chunks import PngChunks, png_chunks

_PIXEL_BYTES = 4  # of an RGB image in Pillow, and of an id


def read_id_png(path: Path) -> np.ndarray:
    """A COCO-panoptic PNG: (H, W) int32, R + 256 G + 65536 B.

    Raises:
        UserError: the file is missing, damaged, or not RGB with 8 bits a channel.
    """
    content, chunks = _checked(path, (RGB_8,))
    pixels = decode_plain(content, chunks)
    if pixels is None:
        image = _by_pillow(path, content)
        bands = np.frombuffer(image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA"), dtype=np.uint8)
        pixels = bands.reshape(image.height, image.width, 4)
    return rgb_to_ids(pixels)


def read_grey_png(path: Path) -> np.ndarray:
    """A label PNG of one channel: (H, W) int32; of a palette PNG the indices, not the colours.

    Raises:
        UserError: the file is missing, damaged, or not of one channel with 8 or 16 bits.
    """
    content, chunks = _checked(path, (GREY_8, GREY_16, PALETTE))
    values = decode_plain(content, chunks)
    if values is None:
        image = _by_pillow(path, content)
        check_palette(image, path)
        values = np.asarray(image)
    return values.astype(np.int32)


def _checked(path: Path, kinds: tuple[str, ...]) -> tuple[bytes, PngChunks]:
    try:
        content = regular_file(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): restore the file.") from None
    chunks = png_chunks(path, content)
    check_kind(content[:HEADER_BYTES], kinds, path)
    check_memory(path, (chunks.height, chunks.width), _PIXEL_BYTES, "split it into smaller images")
    return content, chunks


def _by_pillow(path: Path, content: bytes) -> Image.Image:
    try:
        with without_pixel_limit():
            image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:  # what Pillow raises on damaged files
        raise UserError(f"{path} does not decode ({' '.join(str(error).split())}): replace the file.") from None
    return image
