"""16-bit labels as TIFF or PNG: the values as stored, or one sentence why not."""

from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import GREY_16
from pantile.contracts.large_images import check_memory, without_pixel_limit
from pantile.data.decoding import decoding
from pantile.data.image_header import read_header
from pantile.data.label_files import read_label

TIFF_SUFFIXES = (".tif", ".tiff")
_PIXEL_BYTES = 4


def read_label_16(path: Path) -> np.ndarray:
    """
    Args:
        path: ``.tif``, ``.tiff`` or ``.png``.

    Returns:
        (H, W) uint16.

    Raises:
        UserError: the file is missing, broken, too large, or holds anything but one page of unsigned 16-bit grey.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return read_label(path, (GREY_16,))
    header = read_header(path)
    if header is None or header.format != "TIFF" or header.pages != 1:
        raise UserError(f"{path} is not a TIFF file of one page, as these labels are: save it as one.")
    if (header.bits, header.kind, header.bands, header.alpha) != (16, "unsigned", 1, False):
        raise UserError(
            f"{path} is a TIFF of {header}, but this label needs 16-bit grey without sign: a program that reads or "
            "writes it in another form (8 bits, int16) loses classes, so write it anew from its source."
        )
    with decoding(path), without_pixel_limit():
        image = Image.open(path, formats=("TIFF",))
        check_memory(path, image.size[::-1], _PIXEL_BYTES, "cut it and its image into smaller ones")
        return np.asarray(image).astype(np.uint16)
