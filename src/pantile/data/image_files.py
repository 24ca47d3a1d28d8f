"""Reading image files: colours, and the ids of COCO-panoptic PNGs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.panoptic import rgb_to_ids
from pantile.data.orientation import UPRIGHT, Orientation, decode_in_frame, has_exif, orientation_of

MODES = {1: ("L",), 4: ("RGBA", "CMYK")}  # Pillow's names of what holds so many channels; RGB is made of anything


Frame = str | Callable[[Orientation], str]


def read_image(path: str | Path, channels: int = 3, frame: Frame = UPRIGHT) -> np.ndarray:
    """(H, W, channels) uint8.

    Args:
        path: the file.
        channels: 3 for RGB, to which grey and palette images are converted; 1 for grey and 4 for RGBA or CMYK, which
            are never made of anything else.
        frame: ``"upright"`` turns the picture as its orientation tag says, ``"stored"`` leaves it as it lies in the
            file; or what chooses one of them for an ``Orientation``. See docs/orientation.md.

    Raises:
        UserError: the file is missing, is not an image, is cut short, has more than 8 bits a channel, or other
            channels than 1 or 4 that were asked for.
    """
    return image_pixels(_open(path), channels, str(path), frame)


def image_pixels(image: Image.Image, channels: int = 3, name: str = "The image", frame: Frame = UPRIGHT) -> np.ndarray:
    """``read_image`` of an image that is open already; ``name`` is for messages."""
    return decode_in_frame(image, lambda: _pixels(image, channels, name), frame)


def read_orientation(path: str | Path) -> Orientation:
    """Both sizes of an image, without decoding one that has no EXIF data.

    Raises:
        UserError: the file is missing or not an image.
    """
    with _open(path) as image:
        if image.format == "PNG":
            with Path(path).open("rb") as file:
                if not has_exif(file):
                    return Orientation(1, (image.height, image.width))
        return orientation_of(image)


def stored_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of a label PNG from its head; label maps are never turned, whatever tag they carry.

    Raises:
        UserError: the file is missing or not an image.
    """
    with _open(path) as image:
        return image.height, image.width


def _pixels(image: Image.Image, channels: int, name: str) -> np.ndarray:
    if channels == 3:
        if image.mode.startswith(("I", "F")):
            raise UserError(f"{name} has pixels of type {image.mode!r}: convert it to 8 bits a channel.")
        return np.asarray(_load(image.convert, name, "RGB"))
    if channels not in MODES:
        raise UserError(
            f"{name} holds no {channels} channels, as no image file does: give an array of (H, W, {channels})."
        )
    if image.mode not in MODES[channels]:
        raise UserError(
            f"{name} has colour mode {image.mode!r}, but {channels} channel(s) are wanted "
            f"({' or '.join(MODES[channels])}): convert it, or correct `channels` in dataset.yaml."
        )
    _load(image.load, name)
    return np.asarray(image).reshape(image.height, image.width, channels)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """What is shown of an image of any number of channels.

    Args:
        image: (H, W, C) uint8.

    Returns:
        (H, W, 3) uint8: grey three times, the first three of more channels, RGB itself.
    """
    if image.shape[2] == 3:
        return image
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., :3])


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
        return Image.open(regular_file(path))
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
