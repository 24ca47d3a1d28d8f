"""Reading image files: colours, and the ids of COCO-panoptic PNGs."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.large_images import check_memory, without_pixel_limit
from pantile.data.decoding import DECODING_ERRORS
from pantile.data.image_header import ImageHeader, header_of_opened, read_header
from pantile.data.image_suffixes import IMAGE_FORMATS
from pantile.data.label_files import read_label_ids
from pantile.data.orientation import (
    STORED,
    UPRIGHT,
    Orientation,
    decode_in_frame,
    has_exif,
    not_mapped,
    orientation_of,
    turn,
)
from pantile.data.raster_file import WAY_ON, RasterImage, has_rasterio
from pantile.data.reading import AS_STORED, Choice, Reading, choose, to_bytes

MODES = {1: ("L",), 4: ("RGBA", "CMYK")}  # Pillow's names of what holds so many channels; RGB is made of anything
_LARGE = 2**26  # bytes of an image from which windows are worth their while
_PIXEL_BYTES = 4  # of an image in Pillow, whose RGB takes four


Frame = str | Callable[[Orientation], str]


def read_image(path: str | Path, channels: int = 3, reading: Reading = AS_STORED, frame: Frame = UPRIGHT) -> np.ndarray:
    """(H, W, channels) uint8.

    The file's own depth, bands and pages decide (``image_header``): a file of 8 bits is taken as it is, any other needs
    ``reading`` to say which values become 0 and 255.

    Args:
        path: the file.
        channels: 3 for RGB, to which grey and palette images are converted, alpha dropped; 1 for grey and 4 for RGBA
            or CMYK, which are never made of anything else; any number of a file of so many bands.
        reading: pages, bands and range.
        frame: ``"upright"`` turns the picture as its orientation tag says, ``"stored"`` leaves it as it lies in the
            file; or what chooses one of them for an ``Orientation``. See docs/orientation.md.

    Raises:
        UserError: the file is missing, is not an image, is cut short, or holds a depth, bands or pages of which
            ``reading`` says nothing; or it is to be read with rasterio, which is not installed.
    """
    return np.asarray(open_image(path, channels, reading, frame))


def open_image(
    path: str | Path,
    channels: int = 3,
    reading: Reading = AS_STORED,
    frame: Frame = UPRIGHT,
    windows: bool = False,
) -> np.ndarray | RasterImage:
    """``read_image`` for who may do with parts of the image.

    Args:
        windows: give an image whose parts are decoded when they are asked for, where the file is large, its format
            allows it and rasterio is installed.
    """
    header = read_header(path)
    if header is None:
        header, taken_as_is = ImageHeader("", bands=3), reading == AS_STORED
    else:
        taken_as_is = header.plain and header.pages == 1 and reading == AS_STORED and channels in (3, *MODES)
        taken_as_is &= header.tiff is None or header.tiff.pages[0].directory == 0
    if taken_as_is:
        _tell_alpha(header, channels, path)
        if windows and (image := _windowed_as_is(Path(path), header, channels)) is not None:
            return image
        return image_pixels(_open(path), channels, str(path), frame)
    choice = choose(header, reading, channels, path)
    found = read_orientation(path)
    want = frame if isinstance(frame, str) else frame(found)
    if choice.header.plain:
        return turn(_with_pillow(path, choice), found.tag, UPRIGHT if choice.header.tiff else STORED, want)
    image = RasterImage(Path(path), choice)
    if windows and image.windowed and _is_large(image.shape) and (want == STORED or not found.is_turned):
        return image
    return turn(image.whole(), found.tag, STORED, want)


def image_pixels(image: Image.Image, channels: int = 3, name: str = "The image", frame: Frame = UPRIGHT) -> np.ndarray:
    """``read_image`` of an image that is open already; ``name`` is for messages.

    Raises:
        UserError: as ``read_image``; an image of a file that holds more than Pillow gives is refused too.
    """
    return decode_in_frame(image, lambda: _pixels(image, channels, name), frame)


def read_orientation(path: str | Path) -> Orientation:
    """Both sizes of an image, without decoding one that has no EXIF data.

    Raises:
        UserError: the file is missing or not an image.
    """
    header = read_header(path)
    if header is not None and header.tiff is not None:  # of any depth; Pillow does not know all
        page = header.tiff.pages[0]
        return Orientation(page.orientation if page.orientation in range(1, 9) else 1, page.size)
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
    header = header_of_opened(image)
    if header is not None and not header.plain:
        raise UserError(
            f"{name} comes from a file of {header}, which Pillow does not give as they are: give the file's name "
            "instead, and say how to read it (docs/rasters.md)."
        )
    if channels == 3:
        if image.mode.startswith(("I", "F")):
            raise UserError(f"{name} has pixels of type {image.mode!r}: convert it to 8 bits a channel.")
        if image.mode == "RGB":
            _load(image.load, name)
            return _array(image)
        return _array(_load(image.convert, name, "RGB"))
    if channels not in MODES:
        raise UserError(
            f"{name} holds no {channels} channels, as no picture does: give an array of (H, W, {channels}), or a "
            "raster file of so many bands."
        )
    if image.mode not in MODES[channels]:
        raise UserError(
            f"{name} has colour mode {image.mode!r}, but {channels} channel(s) are wanted "
            f"({' or '.join(MODES[channels])}): convert it, or correct `channels` in dataset.yaml."
        )
    _load(image.load, name)
    return _array(image)


def _array(image: Image.Image) -> np.ndarray:
    """(H, W, C) uint8, stripe by stripe: Pillow's own way holds the bytes of a large image two more times."""
    bands = len(image.getbands())
    pixels = np.empty((image.height, image.width, bands), dtype=np.uint8)
    step = max(1, _LARGE // max(1, image.width * _PIXEL_BYTES))
    if step >= image.height:
        return np.asarray(image).reshape(pixels.shape)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom))).reshape(-1, image.width, bands)
    return pixels


def _with_pillow(path: str | Path, choice: Choice) -> np.ndarray:
    """Chosen pages and bands of a file of 8 bits."""
    pages, tiff = [], choice.header.tiff
    image = _open(path)
    for page in choice.pages:
        _load(image.seek, path, tiff.pages[page].directory if tiff else page)
        with not_mapped(image):
            whole = image if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") else _load(image.convert, path, "RGB")
            _load(whole.load, path)
        pages.append(_array(whole))
    if len({page.shape for page in pages}) > 1:
        raise UserError(f"{path}: the pages to take differ in size or bands: choose pages that do not.")
    values = pages[0] if len(pages) == 1 else np.concatenate(pages, axis=2)
    if max(choice.bands) >= values.shape[2]:
        raise UserError(f"{path} holds {values.shape[2]} band(s), but band {max(choice.bands) + 1} is asked for.")
    return to_bytes(np.ascontiguousarray(values[..., list(choice.bands)]), choice.ranges)


def _windowed_as_is(path: Path, header: ImageHeader, channels: int) -> RasterImage | None:
    """A large TIFF of grey or RGB, whose values mean to GDAL what they mean to Pillow."""
    page = header.tiff.pages[0] if header.tiff else None
    if page is None or page.bits != 8 or page.colour not in ("grey", "rgb") or page.orientation != 1:
        return None
    if not _is_large((*page.size, channels)) or not has_rasterio() or channels not in (page.samples, 3):
        return None
    image = RasterImage(path, choose(header, AS_STORED, channels, path))
    return image if image.windowed else None


def _is_large(shape: tuple[int, int, int]) -> bool:
    return shape[0] * shape[1] * shape[2] >= _LARGE


def _tell_alpha(header: ImageHeader, channels: int, path: str | Path) -> None:
    """In rasters the fourth band is often near infrared that a program marked as alpha: it is not dropped unseen."""
    if header.tiff is not None and header.alpha and channels <= header.bands and header.tiff.pages[0].georeferenced:
        warnings.warn(
            f"{path} says that its band {header.samples} is alpha, so it is left out: name the bands with `bands` in "
            "dataset.yaml or --bands if it is another.",
            stacklevel=3,
        )


def as_rgb(image: np.ndarray) -> np.ndarray:
    """What is shown of an image of any number of channels.

    Args:
        image: (H, W, C) uint8.

    Returns:
        (H, W, 3) uint8: the first of one or two channels three times, the first three of more, RGB itself.
    """
    if image.shape[2] == 3:
        return image
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] < 3 else np.ascontiguousarray(image[..., :3])


def read_panoptic_png(path: str | Path) -> np.ndarray:
    """The ids of a COCO-panoptic PNG, (H, W) int32, 0..2**24-1.

    Raises:
        UserError: the file is missing, broken, or not an 8-bit RGB PNG.
    """
    return read_label_ids(path)


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``IMAGE_FORMATS`` that this Pillow knows."""
    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)


def _open(path: str | Path) -> Image.Image:
    """The file's first page, not decoded yet; of any number of pixels that fits ``large_images.MOST_BYTES``."""
    try:
        with without_pixel_limit():
            image = Image.open(regular_file(path), formats=_formats())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: restore the file or remove it from the JSON.") from None
    except UnidentifiedImageError:
        raise UserError(
            f"{path} is not a readable image (the formats are {', '.join(IMAGE_FORMATS)}): replace the file, or save "
            "it as one of these."
        ) from None
    except DECODING_ERRORS as error:
        raise UserError(f"{path} is not a readable image ({_one_line(error)}): replace the file.") from None
    check_memory(path, image.size[::-1], _PIXEL_BYTES, WAY_ON)
    return image


def _load(decode, path: str | Path, *arguments):
    try:
        with without_pixel_limit():  # some formats are counted again when they are decoded
            return decode(*arguments)
    except MemoryError:
        raise UserError(f"{path} does not fit into memory: {WAY_ON}.") from None
    except DECODING_ERRORS as error:
        raise UserError(f"{path} does not decode ({_one_line(error)}): replace the file.") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def save_image(pixels: np.ndarray, path: Path) -> None:
    """Writes (H, W, 3) uint8 as PNG or, by the ending, JPEG; atomic."""
    options = {"compress_level": 1} if path.suffix == ".png" else {"quality": 95}
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)
