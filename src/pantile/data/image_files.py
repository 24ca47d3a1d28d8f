"""Reading image files: colours, and the ids of COCO-panoptic PNGs."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import rgb_to_ids


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB. Pixels are taken as stored: an EXIF rotation is not applied, as in COCO's own tools.

    Raises:
        UserError: the file is missing, is not an image, is cut short, or has more than 8 bits a channel.
    """
    image = _open(path)
    if image.mode.startswith(("I", "F")):
        raise UserError(f"{path} has pixels of type {image.mode!r}: convert it to 8 bits a channel.")
    return np.asarray(_load(image.convert, path, "RGB"))


def read_panoptic_png(path: str | Path) -> np.ndarray:
    """The ids of a COCO-panoptic PNG, (H, W) int32, 0..2**24-1.

    Raises:
        UserError: the file is missing, broken, or not an 8-bit RGB image.
    """
    image = _open(path)
    if image.mode not in ("RGB", "RGBA"):
        raise UserError(
            f"{path} has colour mode {image.mode!r}, not RGB: a panoptic PNG stores id = R + 256 G + 65536 B."
        )
    _load(image.load, path)
    # four bytes a pixel, so that the bytes can be viewed as integers
    pixels = np.frombuffer(image.tobytes("raw", "RGBX" if image.mode == "RGB" else "RGBA"), dtype=np.uint8)
    return rgb_to_ids(pixels.reshape(image.height, image.width, 4))


def _open(path: str | Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: restore the file or remove it from the JSON.") from None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a readable image ({_one_line(error)}): replace the file.") from None


def _load(decode, path: str | Path, *arguments):
    try:
        return decode(*arguments)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on a file that is cut short or garbled
        raise UserError(f"{path} does not decode ({_one_line(error)}): replace the file.") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def save_image(pixels: np.ndarray, path: Path) -> None:
    """Writes (H, W, 3) uint8 as PNG or, by the ending, JPEG; atomic."""
    options = {"compress_level": 1} if path.suffix == ".png" else {"quality": 95}
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)
