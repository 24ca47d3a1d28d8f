"""Reading label PNGs: the values as stored, or one sentence why not."""

from collections.abc import Collection
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
from pantile.data.decoding import decoding
from pantile.data.fast_png import decode_plain
from pantile.data.png_chunks import png_chunks

INDEXED_8 = (GREY_8, PALETTE)  # a palette is only there for looking at
_PIXEL_BYTES = 4  # of an RGB image in Pillow, and of an id
_WAY_ON = "cut it and its image into smaller ones"


def read_label(path: Path | str, kinds: Collection[str]) -> np.ndarray:
    """Pixel values as stored; of a palette PNG the indices, not the colours.

    Args:
        path: the file.
        kinds: of ``contracts.label_pngs``, which the format allows.

    Returns:
        (H, W) uint8 or uint16, or of RGB (H, W, 3) uint8.

    Raises:
        UserError: the file is missing, broken, too large to be decoded at once, or of another depth or colour type.
    """
    pixels = _plain(path, kinds)
    if pixels is None:
        image = _decoded(path, kinds)
        check_palette(image, path)
        pixels = np.asarray(image)
    if pixels.ndim == 3:
        return pixels[..., :3]
    return pixels.astype(np.uint16) if GREY_16 in kinds and pixels.dtype != np.uint8 else pixels


def read_label_ids(path: Path | str) -> np.ndarray:
    """The ids of a COCO-panoptic PNG, (H, W) int32: R + 256 G + 65536 B.

    Raises:
        UserError: as ``read_label``.
    """
    pixels = _plain(path, (RGB_8,))
    if pixels is None:
        image = _decoded(path, (RGB_8,))
        # four bytes a pixel, so that the bytes can be viewed as integers
        bands = np.frombuffer(image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA"), dtype=np.uint8)
        pixels = bands.reshape(image.height, image.width, 4)
    return rgb_to_ids(pixels)


def read_label_colours(path: Path | str) -> np.ndarray:
    """The colours of a label PNG, also of one with a palette: (H, W) int32, R + 256 G + 65536 B.

    Raises:
        UserError: as ``read_label``.
    """
    image = _decoded(path, (RGB_8, PALETTE, GREY_8))
    return rgb_to_ids(np.asarray(image.convert("RGB")))


def _plain(path: Path | str, kinds: Collection[str]) -> np.ndarray | None:
    """Most labels are plain PNGs; None leaves a file, and what is to be said of it, to Pillow."""
    with decoding(path):
        content = regular_file(path).read_bytes()
        check_kind(content[:HEADER_BYTES], kinds, path)
        try:
            chunks = png_chunks(Path(path), content)
        except UserError:
            return None
        check_memory(path, (chunks.height, chunks.width), _PIXEL_BYTES, _WAY_ON)
        return decode_plain(content, chunks)


def _decoded(path: Path | str, kinds: Collection[str]) -> Image.Image:
    with decoding(path):
        with regular_file(path).open("rb") as file:
            check_kind(file.read(HEADER_BYTES), kinds, path)
        with without_pixel_limit():
            image = Image.open(path, formats=("PNG",))
        check_memory(path, image.size[::-1], _PIXEL_BYTES, _WAY_ON)
        if getattr(image, "n_frames", 1) > 1:
            raise UserError(f"{path} is an animated PNG, but a label is one image: save one frame.")
        with without_pixel_limit():
            image.load()
    return image
