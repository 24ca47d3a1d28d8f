"""What counts as an image, and its pixels as a network takes them."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from PIL import Image, UnidentifiedImageError

from pantile.contracts.errors import UserError
from pantile.data.image_files import image_pixels, read_image
from pantile.data.orientation import UPRIGHT
from pantile.data.reading import AS_STORED, Reading
from pantile.predict.arrays import array_pixels, is_tensor, kind_of

if TYPE_CHECKING:
    from torch import Tensor

#: one image
Source = Union[str, Path, bytes, Image.Image, np.ndarray, "Tensor"]


def as_pixels(image: Source, channels: int = 3, reading: Reading = AS_STORED, orientation: str = UPRIGHT) -> np.ndarray:
    """(H, W, channels) uint8: RGB, or as many bands as the model takes. ``reading`` is for files.

    Raises:
        UserError: see ``Predictor.__call__``.
    """
    if isinstance(image, np.ndarray) or is_tensor(image):
        return array_pixels(image, channels)
    if isinstance(image, Image.Image):
        return image_pixels(image, channels, frame=orientation)
    if isinstance(image, bytes | bytearray | memoryview):
        return image_pixels(_decoded(bytes(image)), channels, frame=orientation)
    if isinstance(image, str | Path):
        return read_image(image, channels, reading, orientation)
    raise UserError(
        f"The image is {kind_of(image)}: give a path, the bytes of an image file, a PIL image, an array or a tensor."
    )


def _decoded(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise UserError(f"The {len(content)} bytes are no image file: give the content of a JPEG, PNG, ...") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"The bytes are no readable image ({' '.join(str(error).split())}): encode it anew.") from None
