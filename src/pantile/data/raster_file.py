"""Files that Pillow cannot read without loss, and windows of large ones, through rasterio (GDAL), an extra.

GDAL reads every depth and number of bands, and decodes the blocks of a TIFF that a window touches.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.large_images import check_memory
from pantile.data.image_header import ImageHeader
from pantile.data.reading import Choice, to_bytes

EXTRA = "pip install 'pantile[raster]'"
#: Pillow's name of a format to GDAL's; without a driver GDAL would also open files that name other files and servers
DRIVERS = {"PNG": "PNG", "TIFF": "GTiff", "JPEG2000": "JP2OpenJPEG", "PPM": "PNM"}
_WINDOWED = ("TIFF", "JPEG2000")  # formats whose parts are decoded alone; GDAL reads rows of a PNG from its start
_LARGEST_BLOCK = 2**26  # bytes; of larger ones GDAL keeps too few between windows
_CACHE = 2**27  # bytes of decoded blocks; GDAL's own choice is a twentieth of all memory
_STRIPE = 2**25  # bytes as stored
WAY_ON = "save it as a tiled TIFF and cut it with --tile, or split it into smaller images"


def has_rasterio() -> bool:
    return find_spec("rasterio") is not None


def rasterio_for(path: str | Path, what: str) -> ModuleType:
    """
    Raises:
        UserError: the extra is not installed.
    """
    if not has_rasterio():
        raise UserError(f"{path} holds {what}, which needs rasterio to be read: {EXTRA}.")
    return load_rasterio()


@cache
def load_rasterio() -> ModuleType:
    import rasterio
    import rasterio.errors

    # a photo has no place on the Earth, and nobody expects it to
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio


class RasterImage:
    """An image whose parts are decoded when they are asked for: ``image[top:bottom, left:right]``, steps allowed.

    Stands where an (H, W, C) uint8 array would; ``numpy.asarray`` reads all of it. Not for several threads at once.

    Args:
        path: the file.
        choice: what to read of it.

    Raises:
        UserError: rasterio is missing or cannot read the file, or its pages differ in size.
    """

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, path: Path, choice: Choice) -> None:
        self.path, self.choice, header = path, choice, choice.header
        rasterio = rasterio_for(path, str(header))
        driver = DRIVERS.get(header.format)
        if driver is None:
            raise UserError(f"{path} holds {header} as {header.format}: save it as PNG or TIFF.")
        with telling(path):
            self.pages = [
                rasterio.open(_address(path, header, page), driver=driver, sharing=False) for page in choice.pages
            ]
        sizes = {(page.height, page.width) for page in self.pages}
        if len(sizes) > 1:
            listed = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
            raise UserError(f"{path}: the pages to take have different sizes ({listed}): choose pages of one size.")
        (self.size,) = sizes
        blocks = [shape for page in self.pages for shape in page.block_shapes]
        widest = max(rows * columns for rows, columns in blocks) * np.dtype(self.pages[0].dtypes[0]).itemsize
        #: whether windows cost less than the whole
        self.windowed = header.format in _WINDOWED and widest * self.pages[0].count <= _LARGEST_BLOCK

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.size, len(self.choice.bands))

    def __len__(self) -> int:
        return self.size[0]

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        """(h, w, C) uint8."""
        (top, bottom, down), (left, right, across) = (
            part.indices(length) for part, length in zip(window, self.size, strict=True)
        )
        if (down, across) == (1, 1):
            return self._read(top, bottom, left, right)
        parts = [
            self._read(start, end, left, right)[::down, ::across] for start, end in self._stripes(top, bottom, down)
        ]
        return np.concatenate(parts)

    def _stripes(self, top: int, bottom: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
        """Rows that are decoded at once: all rows of blocks, about ``_STRIPE`` bytes, a multiple of so many rows.

        A block that is the whole image would be decoded anew for each stripe, so there is one.
        """
        rows = max(height for page in self.pages for height, _ in page.block_shapes)
        row_bytes = self.size[1] * sum(np.dtype(page.dtypes[0]).itemsize * page.count for page in self.pages)
        step = max(rows, _STRIPE // row_bytes // rows * rows)
        step = self.size[0] if rows >= self.size[0] else -(-step // multiple) * multiple
        for start in range(top, bottom, max(step, multiple)):
            yield start, min(start + max(step, multiple), bottom)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.whole()

    def whole(self) -> np.ndarray:
        """All of it.

        Raises:
            UserError: it is larger than what is decoded at once, or damaged.
        """
        check_memory(self.path, self.size, len(self.choice.bands), WAY_ON)
        pixels = np.empty(self.shape, dtype=np.uint8)
        for start, end in self._stripes(0, self.size[0]):
            pixels[start:end] = self._read(start, end, 0, self.size[1])
        return pixels

    def _read(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        from rasterio.windows import Window

        window, first, parts = Window(left, top, right - left, bottom - top), 0, {}
        with telling(self.path):
            for page in self.pages:
                own = sorted({band - first for band in self.choice.bands if 0 <= band - first < page.count})
                if own:
                    values = page.read([band + 1 for band in own], window=window)
                    parts |= {first + band: values[k] for k, band in enumerate(own)}
                first += page.count
        return to_bytes(np.stack([parts[band] for band in self.choice.bands], axis=-1), self.choice.ranges)


@contextmanager
def telling(path: Path, fault: str = "does not decode", remedy: str = "replace the file") -> Iterator[None]:
    """GDAL's errors as one sentence; and its cache of blocks no larger than a row of tiles needs."""
    rasterio = load_rasterio()
    cache_size = {} if "GDAL_CACHEMAX" in os.environ else {"GDAL_CACHEMAX": _CACHE}
    try:
        with rasterio.Env(**cache_size):
            yield
    except MemoryError:
        raise UserError(f"{path} does not fit into memory: {WAY_ON}.") from None
    except (rasterio.errors.RasterioError, OSError) as error:
        reason = error.__cause__ or error  # rasterio's own words are "see previous exception"
        raise UserError(f"{path} {fault} ({' '.join(str(reason).split())}): {remedy}.") from None


def _address(path: Path, header: ImageHeader, page: int) -> str:
    """GDAL's name of a page; a TIFF's overviews and masks count among its directories."""
    full = str(path.absolute())
    directory = header.tiff.pages[page].directory if header.tiff else 0
    return f"GTIFF_DIR:{directory + 1}:{full}" if directory else full
