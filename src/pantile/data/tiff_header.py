"""What the directories of a TIFF file say of its pages, before any pixel is decoded."""

import re
from dataclasses import dataclass
from typing import BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF

# tags of TIFF 6.0 and of GeoTIFF 1.1
_NEW_SUBFILE, _OLD_SUBFILE, _WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _DESCRIPTION = 254, 255, 256, 257, 258, 262, 270
_ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _PLANAR, _EXTRA, _SAMPLE_FORMAT = 274, 277, 278, 284, 338, 339
_TILE_WIDTH, _TILE_LENGTH, _GEO = 322, 323, (33550, 33922, 34264, 34735)

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: an overview or thumbnail, a mask of another page
_ALPHA = (1, 2)  # values of ExtraSamples
_KINDS = {1: "unsigned", 2: "signed", 3: "float", 4: "unsigned", 5: "complex", 6: "complex"}
_COLOURS = {0: "white-is-zero", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "ycbcr"}


@dataclass(frozen=True)
class TiffPage:
    """
    Attributes:
        directory: its position among all directories of the file, from 0; overviews and masks are directories too.
        size: (height, width).
        samples: values of a pixel, alpha included.
        bits: of the deepest sample.
        kind: "unsigned", "signed", "float" or "complex".
        colour: "grey", "rgb", "palette", ...; "other" where this module knows no name.
        alpha: whether the last sample is alpha by the file's own word.
        orientation: 1..8, of the EXIF standard.
        block: (height, width) of the tiles or strips, which are decoded as a whole.
        georeferenced: it has GeoTIFF's tags.
    """

    directory: int
    size: tuple[int, int]
    samples: int
    bits: int
    kind: str
    colour: str
    alpha: bool
    orientation: int
    block: tuple[int, int]
    georeferenced: bool

    @property
    def bands(self) -> int:
        """Samples of a pixel without alpha."""
        return self.samples - self.alpha


@dataclass(frozen=True)
class TiffHeader:
    """
    Attributes:
        pages: at full resolution; overviews, thumbnails and masks left out.
        stacked: images that ImageJ says the file holds, of which only the first has a directory; 1 otherwise.
    """

    pages: tuple[TiffPage, ...]
    stacked: int


def read_tiff_header(file: BinaryIO) -> TiffHeader:
    """
    Raises:
        Exception: of any kind that a damaged file makes (see ``decoding.DECODING_ERRORS``).
    """
    start = file.read(16)
    directory = ImageFileDirectory_v2(start if start[2:3] == b"+" or start[3:4] == b"+" else start[:8])
    pages, seen, position, stacked = [], set(), 0, 1
    while directory.next and directory.next not in seen:  # a loop of directories is damage, and ends here
        seen.add(directory.next)
        file.seek(directory.next)
        directory.load(file)
        page = _page(directory, position)
        if page is not None:
            pages.append(page)
        if position == 0:
            stacked = _stacked(directory.get(_DESCRIPTION))
        position += 1
    return TiffHeader(tuple(pages), stacked if len(pages) == 1 else 1)


def _page(directory: ImageFileDirectory_v2, position: int) -> TiffPage | None:
    """None for overviews, thumbnails and masks."""
    if directory.get(_NEW_SUBFILE, 0) & (_REDUCED | _MASK) or directory.get(_OLD_SUBFILE, 1) == 2:
        return None
    if _LENGTH not in directory or _WIDTH not in directory:
        raise ValueError("a directory of the TIFF file has no size")
    size = int(directory[_LENGTH]), int(directory[_WIDTH])
    samples = int(directory.get(_SAMPLES, 1))
    kinds = {_KINDS.get(value, "other") for value in directory.get(_SAMPLE_FORMAT, (1,))}
    colour = _COLOURS.get(directory.get(_PHOTOMETRIC, 1), "other")
    extra = directory.get(_EXTRA, ())
    # without ExtraSamples a fourth value beside RGB is what it is for the programs that leave the tag out: alpha
    alpha = extra[-1] in _ALPHA if extra else colour == "rgb" and samples == 4
    block = int(directory.get(_TILE_LENGTH, 0)), int(directory.get(_TILE_WIDTH, 0))
    if not all(block):
        block = min(int(directory.get(_ROWS_PER_STRIP, size[0])), size[0]), size[1]
    return TiffPage(
        position,
        size,
        samples,
        max(map(int, directory.get(_BITS, (1,)))),
        kinds.pop() if len(kinds) == 1 else "other",
        colour,
        bool(alpha) and samples > 1,
        int(directory.get(_ORIENTATION, 1)),
        block,
        any(tag in directory for tag in _GEO),
    )


def _stacked(description: object) -> int:
    found = re.match(r"ImageJ=.*?\nimages=(\d+)", str(description or ""), re.DOTALL)
    return int(found[1]) if found else 1
