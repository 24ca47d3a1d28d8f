"""Depth, bands and pages of an image file, from its own header: what a decoder makes of a file does not tell.

Pillow decodes 16-bit colour to its high bytes, 16-bit planes to garbage, and one page of many, without a word.
"""

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.large_images import without_pixel_limit
from pantile.data.decoding import decoding
from pantile.data.tiff_header import MAGIC as TIFF_MAGIC
from pantile.data.tiff_header import TiffHeader, TiffPage, read_tiff_header

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JP2_MAGIC, J2K_MAGIC = b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
_PNG_COLOURS = {0: ("grey", 1, False), 2: ("rgb", 3, False), 3: ("palette", 1, False)}
_PNG_COLOURS |= {4: ("grey", 1, True), 6: ("rgb", 3, True)}
_BY_BANDS = {1: "grey", 3: "rgb"}
#: bands of a pixel that a colour has; more are bands of their own
_COLOUR_BANDS = {"grey": 1, "white-is-zero": 1, "palette": 1, "rgb": 3, "ycbcr": 3, "cmyk": 4}


@dataclass(frozen=True)
class ImageHeader:
    """
    Attributes:
        format: Pillow's name, such as "PNG".
        bits: of the deepest sample.
        kind: "unsigned", "signed", "float" or "complex".
        bands: samples of a pixel, without alpha; of a palette image 1.
        colour: what they mean: "grey", "rgb", "palette", "cmyk", "ycbcr", "white-is-zero" or "other".
        alpha: whether there is an alpha beside the bands.
        pages: images in the file: pages of a TIFF, frames of an animation.
        tiff: more of a TIFF file.
    """

    format: str
    bits: int = 8
    kind: str = "unsigned"
    bands: int = 3
    colour: str = "rgb"
    alpha: bool = False
    pages: int = 1
    tiff: TiffHeader | None = None

    @property
    def samples(self) -> int:
        """Bands and alpha."""
        return self.bands + self.alpha

    @property
    def deep(self) -> bool:
        """More, or other, than the 8 bits that networks take."""
        return self.bits > 8 or self.kind != "unsigned"

    @property
    def plain(self) -> bool:
        """Pages of 8-bit grey, RGB, palette or CMYK, perhaps with alpha: what Pillow decodes without loss."""
        return not self.deep and _COLOUR_BANDS.get(self.colour) == self.bands

    def of_pages(self, pages: tuple[int, ...], path: str | Path) -> "ImageHeader":
        """What the header says of some pages of a TIFF, counted from 0; any other file is the same throughout.

        Raises:
            UserError: the pages differ in depth or bands.
        """
        if self.tiff is None or len(self.tiff.pages) != self.pages:
            return self
        own = [_of_page(self.tiff.pages[page], self.pages, self.tiff) for page in pages]
        if any(other != own[0] for other in own):
            raise UserError(f"{path}: the pages to take differ ({', '.join(map(str, own))}): choose pages of one kind.")
        return own[0]

    def __str__(self) -> str:
        number = "" if self.kind == "unsigned" else f" ({self.kind})"
        parts = [f"{self.bands} band{'s' * (self.bands > 1)} of {self.bits} bit{'s' * (self.bits > 1)}{number}"]
        if self.alpha:
            parts.append("alpha")
        if self.pages > 1:
            parts.append(f"{self.pages} pages")
        return ", ".join(parts)


def read_header(path: str | Path) -> ImageHeader | None:
    """None for a format of which no file is deeper than 8 bits or has several pages, and for what is no image.

    Raises:
        UserError: the file is missing or damaged.
    """
    with decoding(path), regular_file(path).open("rb") as file:
        start = file.read(32)
        file.seek(0)
        return _header(file, start, path)


def _header(file: BinaryIO, start: bytes, path: str | Path) -> ImageHeader | None:
    if start.startswith(PNG_MAGIC):
        return png_header(file)
    if start[:4] in TIFF_MAGIC:
        return _of_tiff(read_tiff_header(file), path)
    if start.startswith((JP2_MAGIC, J2K_MAGIC)):
        return _jpeg_2000(file, start)
    if start[:2] in (b"P2", b"P3", b"P5", b"P6"):
        return _netpbm(file)
    if start[:2] in (b"Pf", b"PF") and start[2:3].isspace():
        return ImageHeader("PFM", 32, "float", *((1, "grey") if start[:2] == b"Pf" else (3, "rgb")))
    if start.startswith((b"GIF8", b"RIFF")) and (start[:1] == b"G" or start[8:12] == b"WEBP"):
        return _animation(path)
    if start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis"):
        return _avif(file)
    return None


def header_of_opened(image: Image.Image) -> ImageHeader | None:
    """Of the file from which Pillow opened an image that is not decoded yet; None where that is not known.

    Raises:
        UserError: the file is damaged.
    """
    file = getattr(image, "fp", None)
    if file is None or image.format not in ("PNG", "TIFF", "JPEG2000", "PPM", "AVIF") or not file.seekable():
        return None
    position, name = file.tell(), getattr(image, "filename", "") or "the image"
    try:
        with decoding(name):
            file.seek(0)
            start = file.read(32)
            file.seek(0)
            return _header(file, start, name)
    finally:
        file.seek(position)


def png_header(file: BinaryIO) -> ImageHeader:
    """Of an open PNG file.

    Raises:
        ValueError: it has no right header.
    """
    file.seek(len(PNG_MAGIC))
    length, kind = struct.unpack(">I4s", file.read(8))
    if kind != b"IHDR" or length != 13:
        raise ValueError("the PNG file has no header")
    _, _, bits, number = struct.unpack(">IIBB", file.read(13)[:10])
    if number not in _PNG_COLOURS:
        raise ValueError(f"there is no PNG of colour type {number}")
    colour, bands, alpha = _PNG_COLOURS[number]
    header = ImageHeader("PNG", bits, bands=bands, colour=colour, alpha=alpha)
    file.seek(4, 1)
    while kind not in (b"IDAT", b"IEND"):  # the number of frames of an animated PNG comes before its pixels
        head = file.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if kind == b"acTL":
            (frames,) = struct.unpack(">I", file.read(4))
            return replace(header, pages=frames)
        file.seek(length + 4, 1)
    return header


def _of_tiff(tiff: TiffHeader, path: str | Path) -> ImageHeader:
    if not tiff.pages:
        raise UserError(f"{path} holds no page at full resolution, only previews: save the picture itself as TIFF.")
    return _of_page(tiff.pages[0], max(len(tiff.pages), tiff.stacked), tiff)


def _of_page(page: TiffPage, pages: int, tiff: TiffHeader) -> ImageHeader:
    return ImageHeader("TIFF", page.bits, page.kind, page.bands, page.colour, page.alpha, pages, tiff)


def _jpeg_2000(file: BinaryIO, start: bytes) -> ImageHeader:
    """Of the codestream's SIZ marker (ISO 15444-1, A.5.1), which a JP2 file holds in a box of its own."""
    position = 0
    if not start.startswith(J2K_MAGIC):
        box, length = b"", 0
        while box != b"jp2c":
            position += length
            file.seek(position)
            length, box = struct.unpack(">I4s", file.read(8))
            header = 8
            if length == 1:
                (length,) = struct.unpack(">Q", file.read(8))
                header = 16
            if length < header and box != b"jp2c":
                raise ValueError("the JPEG 2000 file has no codestream")
        position += header
    file.seek(position + 40)  # SOC, SIZ, its length, capabilities, eight sizes
    (count,) = struct.unpack(">H", file.read(2))
    samples = [file.read(3)[0] for _ in range(count)]
    bits = max((sample & 127) + 1 for sample in samples)
    kind = "signed" if any(sample & 128 for sample in samples) else "unsigned"
    alpha = count in (2, 4)  # as Pillow takes them
    bands = count - alpha
    return ImageHeader("JPEG2000", bits, kind, bands, _BY_BANDS.get(bands, "other"), alpha)


def _netpbm(file: BinaryIO) -> ImageHeader:
    """The largest value is the fourth word; comments run from # to the end of the line."""
    words: list[bytes] = []
    while len(words) < 4 and (line := file.readline(256)):
        words += line.partition(b"#")[0].split()
    largest = int(words[3])
    bands = 3 if words[0] in (b"P3", b"P6") else 1
    name = "PPM" if words[0] in (b"P5", b"P6") else "PPM in text"
    return ImageHeader(name, max(largest.bit_length(), 1), bands=bands, colour=_BY_BANDS[bands])


def _animation(path: str | Path) -> ImageHeader:
    with without_pixel_limit(), Image.open(path, formats=("GIF", "WEBP")) as image:
        return ImageHeader(image.format, pages=getattr(image, "n_frames", 1))


def _avif(file: BinaryIO) -> ImageHeader:
    """Bits of AV1's configuration box (AV1 in ISO base media files, 2.3.3), which lies near the start."""
    content = file.read(2**16)
    place = content.find(b"av1C")
    flags = content[place + 6] if place >= 0 else 0
    return ImageHeader("AVIF", 8 if not flags & 0x40 else 12 if flags & 0x20 else 10)
