"""Which way up an image file is: its orientation tag, its two sizes, and pixels turned from one frame to the other.

A camera may store a picture lying on its side and say in a tag (EXIF 0x0112, 1..8; CIPA DC-008, table 5) how to turn
it. So a file has two frames: *stored*, its pixels as they lie in the file, and *upright*, as viewers, browsers and most
label tools show it. docs/orientation.md says which frame is taken where, and why.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError

UPRIGHT, STORED = FRAMES = ("upright", "stored")
TAG = 0x0112
WIDTH, HEIGHT = 0x0100, 0x0101  # of TIFF
#: what Pillow raises on EXIF data that is cut short, garbled or forged
DAMAGED = (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, struct.error, zlib.error)
#: how chunks of text in a PNG begin that may hold an orientation
EXIF_TEXTS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp", b"Raw profile type xmp")
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


@dataclass(frozen=True)
class Orientation:
    """
    Attributes:
        tag: 1..8; 1 is upright already, 2 mirrored, 3 half a turn, 6 and 8 a quarter turn, 4, 5 and 7 mirrored as well.
        stored: (height, width) of the pixels in the file.
    """

    tag: int
    stored: tuple[int, int]

    @property
    def is_turned(self) -> bool:
        """The two frames are not the same."""
        return self.tag != 1

    @property
    def upright(self) -> tuple[int, int]:
        """(height, width) as viewers show the picture."""
        return self.stored[::-1] if self.tag >= 5 else self.stored

    def size(self, frame: str) -> tuple[int, int]:
        """(height, width) in a frame."""
        return self.upright if frame == UPRIGHT else self.stored

    def fitting(self, size: tuple[int, int]) -> tuple[str, ...]:
        """The frames that have this (height, width): none, one, or both."""
        return tuple(frame for frame in FRAMES if self.size(frame) == tuple(size))


@dataclass(frozen=True)
class Choice:
    """
    Attributes:
        frame: in which the labels of an image lie; of an image that is not turned, ``"stored"``.
        is_sure: False where nothing tells the frames apart and nobody has said.
    """

    frame: str
    is_sure: bool = True


def orientation_of(image: Image.Image) -> Orientation:
    """The orientation of an opened image. What is no number from 1 to 8, or does not parse, turns nothing.

    Pillow shows most formats as stored, but TIFF it turns upright while decoding, and forgets the tag: ask before that.
    """
    directory = getattr(image, "tag_v2", None)
    if directory is not None and _valid(directory.get(TAG)) != 1:
        return Orientation(directory[TAG], (directory[HEIGHT], directory[WIDTH]))
    try:
        value = image.getexif().get(TAG)
    except DAMAGED:  # where the pixels are damaged too, decoding them tells
        value = None
    return Orientation(_valid(value), (image.height, image.width))


def has_exif(file: BinaryIO) -> bool:
    """Whether a PNG has a chunk that may hold an orientation, before or behind its pixels, which are not decoded."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            return True
        start = file.read(min(length, 32)) if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        if start.startswith(EXIF_TEXTS):
            return True
        file.seek(length + 4 - len(start), 1)
    return False


def _valid(value: object) -> int:
    return value if isinstance(value, int) and value in INVERSE else 1


def decoded_frame(image: Image.Image) -> str:
    """The frame of the pixels that Pillow decodes, see ``orientation_of``."""
    return UPRIGHT if hasattr(image, "tag_v2") else STORED


def decode_in_frame(
    image: Image.Image, decode: Callable[[], np.ndarray], frame: str | Callable[[Orientation], str]
) -> np.ndarray:
    """What ``decode()`` gives of an opened image, in a frame.

    Args:
        image: opened by Pillow.
        decode: gives (H, W) or (H, W, C) as Pillow decodes the image.
        frame: ``"upright"``, ``"stored"``, or what chooses one.
    """
    asked_first = orientation_of(image) if decoded_frame(image) == UPRIGHT else None
    with not_mapped(image):
        pixels = decode()
    found = asked_first or orientation_of(image)  # a PNG may have its tag behind the pixels
    want = frame if isinstance(frame, str) else frame(found)
    return turn(pixels, found.tag, decoded_frame(image), want)


@contextmanager
def not_mapped(image: Image.Image) -> Iterator[None]:
    """Keeps Pillow from mapping a TIFF that lies on its side into memory, which it does by the width of the upright
    picture (seen with 13.0.0, uncompressed grey, palette, CMYK and 16-bit files opened by name): rows come out sheared.
    """
    name = getattr(image, "filename", "")
    if decoded_frame(image) == UPRIGHT and name:
        image.filename = ""  # what it asks before mapping
    try:
        yield
    finally:
        if decoded_frame(image) == UPRIGHT:
            image.filename = name


def turn(pixels: np.ndarray, tag: int, have: str, want: str) -> np.ndarray:
    """Pixels of one frame in another.

    Args:
        pixels: (H, W) or (H, W, C), of any type.
        tag: 1..8.
        have, want: ``"upright"`` or ``"stored"``.

    Returns:
        The array itself where there is nothing to turn, else a contiguous copy, of (W, H) for the tags 5 to 8.
    """
    if have == want or tag == 1:
        return pixels
    tag = tag if want == UPRIGHT else INVERSE[tag]
    if tag >= 5:
        pixels = pixels.swapaxes(0, 1)  # the first row of the file is the first column of the picture
    rows = slice(None, None, -1 if tag in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if tag in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])


def choose_frame(found: Orientation, label_size: tuple[int, int], said: str | None = None) -> Choice | None:
    """In which frame a label map of this size lies: the only one that fits; else what was said; else upright.

    Args:
        found: of the image.
        label_size: (height, width) of its label map.
        said: by a person, for where sizes cannot tell.

    Returns:
        None where the map fits neither.
    """
    fitting = found.fitting(label_size)
    if not fitting:
        return None
    if not found.is_turned:
        return Choice(STORED)
    if len(fitting) == 1:
        return Choice(fitting[0])
    return Choice(said or UPRIGHT, is_sure=said is not None)


def check_frame(frame: str, where: str) -> str:
    """
    Raises:
        UserError: not the name of a frame.
    """
    if frame not in FRAMES:
        raise UserError(f"{where} is {frame!r}: write {' or '.join(FRAMES)}.")
    return frame


def mismatch(path: Path, found: Orientation, label_size: tuple[int, int], label: str) -> UserError:
    """What to say of an image whose label fits neither frame; ``label`` with its verb, such as "its label is"."""
    own = f"{found.stored[1]}x{found.stored[0]} pixels"
    if found.is_turned:
        own += f" (EXIF orientation {found.tag}: {found.upright[1]}x{found.upright[0]} upright)"
    remedy = "make both the same size."
    if tuple(label_size) == found.stored[::-1]:
        remedy = "one of them lies on its side and no EXIF orientation says so: turn its pixels."
    return UserError(f"{path} is {own} but {label} {label_size[1]}x{label_size[0]}: {remedy}")
