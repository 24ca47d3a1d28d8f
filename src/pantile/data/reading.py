"""How the values of image files become the 0..255 of a network's input: which pages and bands, and what range."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.data.image_header import ImageHeader

_BYTE, RGB_BANDS = 255, 3
_TABLE_BITS = 16  # values of integers up to so many bits are looked up
_STRIP = 2**22  # values that are mapped at once, where they are not

Range = tuple[float, float]


@dataclass
class Reading:
    """What the files do not say. The default takes 8-bit grey, RGB, RGBA and CMYK files as they are.

    Attributes:
        bands: numbers of bands, counted from 1 as in GDAL, in the order in which the network takes them, alpha
            counted as the last one; None takes all but alpha, where they are as many as the network takes, and one
            band three times for RGB.
        range: the values that become 0 and 255: [low, high] of all bands, or one such pair per band. Between them
            values are mapped linearly and rounded half up, below and above they are clipped; NaN is 0. None leaves 8
            bits as they are, and is refused for any other depth.
        pages: numbers of pages of a TIFF or frames of an animation, counted from 1; the bands of several pages follow
            each other, so that ``bands`` counts through them. None takes the only page.
    """

    bands: tuple[int, ...] | None = None
    range: Range | tuple[Range, ...] | None = None
    pages: tuple[int, ...] | None = None

    def check(self, where: str, channels: int | None = None) -> None:
        """
        Args:
            where: named in messages, such as a file.
            channels: that ``bands`` must be, where it is known.

        Raises:
            UserError: numbers that make no sense together.
        """
        for name in ("bands", "pages"):
            numbers = getattr(self, name)
            if numbers is not None and (not numbers or min(numbers) < 1):
                raise UserError(f"{where}: {name} is {list(numbers)}: give numbers from 1.")
        count = channels if self.bands is None else len(self.bands)
        if channels is not None and count != channels:
            raise UserError(f"{where}: bands names {count}, but channels is {channels}: let them agree.")
        if self.range is None:
            return
        pairs = self._pairs()
        if not pairs or any(not low < high or not np.isfinite(high - low) for low, high in pairs):
            raise UserError(f"{where}: range is {_listed(self.range)}: give [low, high] with low below high.")
        if len(pairs) > 1 and count is not None and len(pairs) != count:
            raise UserError(f"{where}: range has {len(pairs)} pairs, but there are {count} bands: give one per band.")

    def _pairs(self) -> tuple[Range, ...]:
        assert self.range is not None
        return (self.range,) if isinstance(self.range[0], int | float) else tuple(self.range)

    def ranges(self, channels: int) -> np.ndarray | None:
        """(channels, 2) float64, or None where values stay as they are."""
        if self.range is None:
            return None
        return np.broadcast_to(np.array(self._pairs(), dtype=np.float64), (channels, 2))


class Unsaid(UserError):
    """The file is as it should be, but nobody said which of its pages, bands or values to take."""


#: bands and values as the file has them
AS_STORED = Reading()

_DEPTH = "`range: [LOW, HIGH]` in dataset.yaml, or `--range LOW HIGH`"
_BANDS = "`bands: [...]` in dataset.yaml, or `--bands N...`"
_PAGES = "`pages: [...]` in dataset.yaml, or `--pages N...`"


@dataclass(frozen=True)
class Choice:
    """What is read of one file.

    Attributes:
        header: of these pages.
        pages: from 0, of the file's pages.
        bands: from 0, through the samples of these pages.
        ranges: (C, 2) float64, see ``Reading.ranges``.
    """

    header: ImageHeader
    pages: tuple[int, ...]
    bands: tuple[int, ...]
    ranges: np.ndarray | None


def choose(header: ImageHeader, reading: Reading, channels: int, path: str | Path) -> Choice:
    """
    Raises:
        UserError: the file has pages, bands or a depth for which ``reading`` says nothing, or not what it says.
    """
    pages = _pages(header, reading, path)
    header = header.of_pages(pages, path)
    if header.plain and header.colour == "palette":  # what is read are its colours, never its indices
        header = replace(header, bands=RGB_BANDS, colour="rgb")
    if header.kind in ("complex", "other"):
        raise UserError(f"{path} holds values that are no plain numbers ({header}): save real numbers of one type.")
    if header.deep and header.colour == "white-is-zero":  # of 8 bits Pillow inverts it; GDAL gives it as it is
        raise UserError(
            f"{path} holds {header} of which 0 is white: save it with 0 for black, or it would be a negative."
        )
    bands = _bands(header, reading, channels, len(pages), path)
    ranges = reading.ranges(channels)
    if not header.deep and ranges is not None and ranges.max() > _BYTE:
        raise UserError(
            f"{path} holds {header}, but the range reaches to {ranges.max():g}, beyond 255: it was made for deeper "
            "files, so give the file they were made from, or another `range` (--range 0 255)."
        )
    if header.deep and reading.range is None:
        raise Unsaid(
            f"{path} holds {header}, and which values become the 0 and 255 of the network is not said: say it with "
            f"{_DEPTH} (docs/rasters.md)."
        )
    return Choice(header, pages, bands, ranges)


def _pages(header: ImageHeader, reading: Reading, path: str | Path) -> tuple[int, ...]:
    if reading.pages is None:
        if header.pages > 1:
            raise Unsaid(f"{path} holds {header.pages} pages or frames: say which to take with {_PAGES}.")
        return (0,)
    if max(reading.pages) > header.pages:
        raise UserError(f"{path} holds {header.pages} page(s), but page {max(reading.pages)} is asked for: correct it.")
    if header.tiff is not None and max(reading.pages) > len(header.tiff.pages):
        raise UserError(
            f"{path} is a stack of ImageJ with one directory: save it as a TIFF with a directory per image."
        )
    return tuple(page - 1 for page in reading.pages)


def _bands(header: ImageHeader, reading: Reading, channels: int, pages: int, path: str | Path) -> tuple[int, ...]:
    samples = header.samples
    if reading.bands is not None:
        if len(reading.bands) != channels:
            raise UserError(f"{path}: {len(reading.bands)} bands are named, but {channels} are wanted: name as many.")
        if max(reading.bands) > samples * pages:
            raise UserError(
                f"{path} holds {samples * pages} band(s), but band {max(reading.bands)} is asked for: correct it."
            )
        return tuple(band - 1 for band in reading.bands)
    own = [page * samples + band for page in range(pages) for band in range(header.bands)]
    if len(own) == channels:
        return tuple(own)
    if len(own) == 1 and channels == 3:
        return (0, 0, 0)
    if samples * pages == channels:
        return tuple(range(channels))
    raise Unsaid(
        f"{path} holds {header}, but {channels} band(s) are wanted: say which with {_BANDS}"
        + (f", and which values become 0 and 255 with {_DEPTH}" if header.deep and reading.range is None else "")
        + " (docs/rasters.md)."
    )


def to_bytes(values: np.ndarray, ranges: np.ndarray | None) -> np.ndarray:
    """Values to what the network takes.

    Args:
        values: (H, W, C) of any real type.
        ranges: (C, 2) float64 of what becomes 0 and 255; None for values of 8 bits.

    Returns:
        (H, W, C) uint8.
    """
    if ranges is None:
        return values
    mapped = np.empty(values.shape, dtype=np.uint8)
    small = values.dtype.kind in "ui" and values.dtype.itemsize * 8 <= _TABLE_BITS
    for band, (low, high) in enumerate(ranges.tolist()):
        own = values[..., band]
        if small:
            kind = np.iinfo(values.dtype)
            table = _linear(np.arange(kind.min, kind.max + 1), low, high)
            mapped[..., band] = table[own if kind.min == 0 else own.astype(np.int32) - kind.min]
            continue
        step = max(1, _STRIP // max(1, own.shape[1]))
        for top in range(0, len(own), step):
            mapped[top : top + step, :, band] = _linear(own[top : top + step], low, high)
    return mapped


def _linear(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (values.astype(np.float64) - low) * _BYTE / (high - low)
    return np.floor(np.clip(np.nan_to_num(scaled, posinf=_BYTE, neginf=0), 0, _BYTE) + 0.5).astype(np.uint8)


def _listed(value: object) -> object:
    return [_listed(part) for part in value] if isinstance(value, tuple | list) else value
