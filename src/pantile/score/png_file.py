"""Reading label PNGs of which nothing is known: the values as stored, or one sentence why not."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.panoptic import rgb_to_ids

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_id_png(path: Path) -> np.ndarray:
    """A COCO-panoptic PNG: (H, W) int32, R + 256 G + 65536 B.

    Raises:
        UserError: the file is missing, damaged, or not RGB with 8 bits a channel.
    """
    image = _decoded(path, {2: "RGB", 6: "RGBA"}, depths=(8,), wanted="RGB with 8 bits a channel")
    pixels = np.frombuffer(image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA"), dtype=np.uint8)
    return rgb_to_ids(pixels.reshape(image.height, image.width, 4))


def read_grey_png(path: Path) -> np.ndarray:
    """A label PNG of one channel: (H, W) int32; of a palette PNG the indices, not the colours.

    Raises:
        UserError: the file is missing, damaged, or not of one channel with 8 or 16 bits.
    """
    image = _decoded(path, {0: "grey", 3: "palette"}, depths=(8, 16), wanted="one channel with 8 or 16 bits")
    return np.asarray(image).astype(np.int32)


def _decoded(path: Path, kinds: dict[int, str], depths: tuple[int, ...], wanted: str) -> Image.Image:
    try:
        content = regular_file(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): restore the file.") from None
    width, height, depth, kind = _checked_header(path, content)
    if kind not in kinds or depth not in depths:
        raise UserError(
            f"{path} is a PNG of colour type {kind} with {depth} bits a channel, but this label needs {wanted}: "
            "save it in that form."
        )
    try:
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except Image.DecompressionBombError:
        raise UserError(f"{path} claims to have {width} x {height} pixels: split it into smaller images.") from None
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:  # what Pillow raises on damaged files
        raise UserError(f"{path} does not decode ({' '.join(str(error).split())}): replace the file.") from None
    return image


def _checked_header(path: Path, content: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits a channel and colour type of a PNG whose checksums are right.

    Decoders skip the checksums of pixels, and a flipped bit may decode to another valid segment.
    """
    damaged = UserError(f"{path} is not an intact PNG file: replace it.")
    if not content.startswith(_SIGNATURE):
        raise damaged
    position, kind, header = len(_SIGNATURE), b"", b""
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
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    if not width or not height:
        raise damaged
    return width, height, depth, colour
