"""Which PNGs a label may be: depth and colour type from the file's header, never from what a decoder made of it.

Pillow gives 16-bit RGB as its high bytes, spreads grey of 2 and 4 bits over 0..255, and says nothing.
"""

import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError

MAGIC = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 33  # magic and IHDR

GREY_8, GREY_16, PALETTE, RGB_8 = "8-bit grey", "16-bit grey", "a palette", "8-bit RGB"
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
_KINDS = {(0, 8): GREY_8, (0, 16): GREY_16, (2, 8): RGB_8, (6, 8): RGB_8}
_KINDS |= {(3, bits): PALETTE for bits in (1, 2, 4, 8)}  # indices are as small as the palette lets them


def check_kind(start: bytes, wanted: Collection[str], path: Path | str) -> None:
    """
    Args:
        start: the first ``HEADER_BYTES`` of the file.
        wanted: of the kinds above. Alpha beside 8-bit RGB is left out.
        path: for messages.

    Raises:
        UserError: the file is no PNG, or one of another depth or colour type.
    """
    if not start.startswith(MAGIC):
        raise UserError(f"{path} is not a PNG file, as labels are (others lose values): save it as PNG.")
    if len(start) < HEADER_BYTES or start[12:16] != b"IHDR":
        raise UserError(f"{path} does not decode (it has no PNG header): replace the file.")
    bits, colour = struct.unpack_from(">BB", start, 24)
    if _KINDS.get((colour, bits)) not in wanted:
        found = f"{bits}-bit {_COLOURS.get(colour, f'colour type {colour}')}"
        raise UserError(
            f"{path} is a PNG of {found}, but this label needs {' or '.join(wanted)}: save it in that form (another "
            "program may have changed it)."
        )


def has_alpha(path: Path) -> bool:
    """Whether a PNG that ``check_kind`` has passed stores alpha beside its values."""
    with path.open("rb") as file:
        return file.read(HEADER_BYTES)[25] in (4, 6)


def check_palette(image: Image.Image, path: Path | str) -> None:
    """Indices of a palette PNG are its values, and its colours are for looking at; unless they are values themselves.

    Programs that shrink PNGs turn a grey one of few values into a palette of greys: then the indices are new numbers.

    Args:
        image: decoded.
        path: for messages.

    Raises:
        UserError: the palette holds greys of its own that differ from the indices.
    """
    if image.mode != "P":
        return
    palette = np.array(image.getpalette("RGB"), dtype=np.int64).reshape(-1, 3)
    used = np.flatnonzero(image.histogram()[: len(palette)])
    colours = palette[used]
    is_grey = bool((colours == colours[:, :1]).all())
    greys = colours[:, 0]
    if is_grey and len(np.unique(greys)) == len(greys) and len(greys) > 1 and (greys != used).any():
        first = int(np.flatnonzero(greys != used)[0])
        raise UserError(
            f"{path} has a palette of greys, of which index {used[first]} is {greys[first]}, so it cannot be told "
            "which of both is the label: save it as 8-bit grey."
        )
