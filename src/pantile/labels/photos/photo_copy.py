"""Copies of photos for a data set: without an orientation tag that says something else than the labels beside them.

A photo whose labels lie on the upright picture is saved anew, upright, in its own format; one whose labels lie on the
stored pixels keeps every pixel and loses the tag. So whatever reads the copy, with or without regard to EXIF, sees the
pixels that the labels mean. All others are copied byte for byte, or linked.
"""

import os
import re
import shutil
import struct
from pathlib import Path

from PIL import Image, ImageOps
from PIL.JpegImagePlugin import get_sampling

from pantile.contracts.errors import UserError
from pantile.contracts.large_images import without_pixel_limit
from pantile.data.decoding import decoding
from pantile.data.image_files import read_orientation
from pantile.data.image_header import ImageHeader, read_header
from pantile.data.orientation import EXIF_TEXTS, TAG, UPRIGHT, not_mapped
from pantile.labels.photos.label_frames import Framed

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
XMP = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[2-8]""")


def place_photo(source: Path, target: Path, link: bool, framed: Framed | None) -> None:
    """
    Args:
        source: only read.
        target: must not exist.
        link: hard-link what needs no change.
        framed: how the labels lie on the photo; None to leave it as it is.

    Raises:
        UserError: no link can be made, or the photo cannot be turned without loss.
    """
    if framed is not None and framed.found.is_turned:
        if framed.frame == UPRIGHT:
            save_upright(source, target)
        else:
            with decoding(source):
                target.write_bytes(without_tag(source.read_bytes(), str(source)))
        if read_orientation(target).is_turned:
            raise UserError(f"{source}: its orientation tag (EXIF) does not go: turn its pixels and save it anew.")
        return
    if not link:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        raise UserError(f"{source} cannot be hard-linked ({error.strerror}): leave out --link.") from None


def save_upright(source: Path, target: Path) -> None:
    """The picture as viewers show it, in the same format, with its colour profile and, but for TIFF, other EXIF data.

    A JPEG is quantised with its own tables, turned with the picture, so that little but rounding is lost.

    Raises:
        UserError: the file holds more than Pillow would write: pages, or bits of a channel.
    """
    _check_holds_all(source)
    with decoding(source), without_pixel_limit(), Image.open(source) as image:
        options = _options(image, source)
        with not_mapped(image):
            turned = ImageOps.exif_transpose(image)
        exif, profile = turned.getexif(), image.info.get("icc_profile")
        exif.pop(TAG, None)
        if image.format != "TIFF":  # whose tags belong to its layout
            options["exif"] = exif.tobytes()
        turned.save(target, image.format, icc_profile=profile, **options)


def _options(image: Image.Image, source: Path) -> dict:
    """How to write what was read with as little loss as possible."""
    if image.format in ("JPEG", "MPO"):  # MPO: a phone's JPEG with a second picture, which nobody reads here
        image.format = "JPEG"
        swaps = image.getexif().get(TAG, 1) >= 5
        tables = [list(table) for _, table in sorted(image.quantization.items())]
        if swaps:
            tables = [[table[8 * (k % 8) + k // 8] for k in range(64)] for table in tables]
        sampling = get_sampling(image)
        return {"qtables": tables, "subsampling": 2 if sampling == 2 else 0}  # 4:2:2 would lie on its side
    if image.format == "TIFF":
        compression = image.info.get("compression")
        return {"compression": "tiff_adobe_deflate" if "jpeg" in str(compression) else compression}
    if image.format == "WEBP":
        is_lossless = b"VP8L" in source.read_bytes()[:4096]
        return {"lossless": True, "exact": True} if is_lossless else {"quality": 95}
    if image.format == "AVIF":
        return {"quality": 95, "subsampling": "4:4:4"}
    return {}


def _check_holds_all(source: Path) -> None:
    header = read_header(source)  # None for formats of 8 bits and one page
    if header is None or (header.pages == 1 and (header.plain or _is_grey_16(header))):
        return
    raise UserError(
        f"{source} is stored turned (EXIF orientation) and holds {header}, which would be lost here: turn its pixels "
        "with the program that made it."
    )


def _is_grey_16(header: ImageHeader) -> bool:
    return (header.bits, header.kind, header.colour, header.alpha) == (16, "unsigned", "grey", False)


def without_tag(content: bytes, name: str) -> bytes:
    """A photo's file with the orientation tag 1, or without one; no other byte that decoders read is changed.

    Args:
        content: of a JPEG, PNG, TIFF or WebP file.
        name: for messages.

    Raises:
        UserError: a BigTIFF.
    """
    if content.startswith(PNG_MAGIC):
        return _png_without_exif(content)
    changed = bytearray(XMP.sub(rb"\g<1>1", content))
    if content[:4] in (b"II*\0", b"MM\0*"):
        _reset(changed, 0)
    elif content[:4] in (b"II+\0", b"MM\0+"):
        raise UserError(f"{name} is a BigTIFF with an orientation tag: turn its pixels and save it anew.")
    elif content[:4] == b"RIFF":
        for start, kind, _ in _riff_chunks(content):
            if kind == b"EXIF":
                _reset(changed, start + (6 if content[start : start + 6] == b"Exif\0\0" else 0))
    else:
        for start in _exif_segments(content):
            _reset(changed, start)
    return bytes(changed)


def _reset(content: bytearray, start: int) -> None:
    """Writes 1 into the orientation of the first directory of the TIFF structure at ``start``, if it has one."""
    order = "<" if content[start : start + 2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", content, start + 4)
    (entries,) = struct.unpack_from(f"{order}H", content, start + directory)
    for entry in range(start + directory + 2, start + directory + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(f"{order}HH", content, entry)
        if tag == TAG:
            struct.pack_into(f"{order}{'I' if kind == 4 else 'H'}", content, entry + 8, 1)


def _exif_segments(content: bytes) -> list[int]:
    """Where the TIFF structures of a JPEG's APP1 segments begin."""
    found, position = [], 2
    while position + 4 <= len(content) and content[position] == 0xFF and content[position + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", content, position + 2)
        if content[position + 1] == 0xE1 and content[position + 4 : position + 10] == b"Exif\0\0":
            found.append(position + 10)
        position += 2 + length
    return found


def _riff_chunks(content: bytes) -> list[tuple[int, bytes, int]]:
    """(start of the data, name, length) of the chunks of a WebP."""
    found, position = [], 12
    while position + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, position + 4)
        found.append((position + 8, content[position : position + 4], length))
        position += 8 + length + length % 2
    return found


def _png_without_exif(content: bytes) -> bytes:
    """All chunks but those that hold EXIF data or XMP."""
    kept, position = [PNG_MAGIC], len(PNG_MAGIC)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        kind, data = content[position + 4 : position + 8], content[position + 8 : position + 8 + length]
        is_text = kind in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(EXIF_TEXTS)
        if kind != b"eXIf" and not is_text:
            kept.append(content[position : position + 12 + length])
        position += 12 + length
    return b"".join(kept)
