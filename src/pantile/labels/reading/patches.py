"""Masks that a tool stores as a small image and a place: decoding, and putting them into a mask of the whole image."""

import base64
import binascii
import io
import zlib

import numpy as np
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.data.decoding import decoding

_LARGEST = 2**28  # bytes of a file in a JSON; a bitmap of black and white takes a few thousand


def place_patch(patch: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray:
    """A mask of a whole image, (H, W) bool, from a part of it that may reach beyond.

    Args:
        patch: (h, w) bool.
        left, top: column and row of its first pixel.
        size: (height, width) of the image.
    """
    height, width = size
    whole = np.zeros(size, dtype=bool)
    inside = patch[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    whole[max(top, 0) :, max(left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return whole


def decode_mask_image(text: str, where: str) -> np.ndarray:
    """A mask from an image in base64, which zlib may have packed once more: (h, w) bool.

    What has an alpha channel is the mask where that is not 0, anything else where it is not black.

    Raises:
        UserError: it is not such a text, or does not decode.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UserError(f"{where} is not base64: export it anew.") from None
    if content[:1] == b"x":  # the first byte of zlib; no format of images begins so
        unpacking = zlib.decompressobj()
        try:
            content = unpacking.decompress(content, _LARGEST)
        except zlib.error:
            raise UserError(f"{where} does not decode: export it anew.") from None
        if unpacking.unconsumed_tail:
            raise UserError(f"{where} is larger than {_LARGEST} bytes: export it anew.")
    with decoding(where), Image.open(io.BytesIO(content)) as image:
        if image.has_transparency_data:
            return np.asarray(image.convert("RGBA"))[..., 3] > 0
        pixels = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    return pixels.any(axis=-1) if pixels.ndim == 3 else pixels > 0
