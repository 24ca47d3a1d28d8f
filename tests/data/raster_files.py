"""Files that Pillow cannot write, made by hand or by rasterio."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path: Path, pixels: np.ndarray, bits: int = 16, colour: int | None = None, extra: bytes = b"") -> Path:
    """(H, W, C) or (H, W) values of 16, 8 or fewer bits."""
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, bands = pixels.shape
    if bits >= 8:
        rows = [row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in pixels]
    else:
        digits = np.unpackbits(pixels.astype(np.uint8), axis=2)[..., 8 - bits :].reshape(height, -1)
        rows = [np.packbits(row).tobytes() for row in digits]
    number = PNG_COLOURS[bands] if colour is None else colour
    header = struct.pack(">IIBBBBB", width, height, bits, number, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + content + chunk(b"IEND", b""))
    return path


def write_tiff(path: Path, values: np.ndarray, **options: object) -> Path:
    """(bands, H, W) of any type."""
    rasterio = pytest.importorskip("rasterio")
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **size, **options) as file:
        file.write(values)
    return path


def place(x: float = 500000.0, y: float = 5000000.0, pixel: float = 0.2) -> dict:
    """Of a GeoTIFF in UTM zone 32 north."""
    rasterio = pytest.importorskip("rasterio")
    return {"crs": "EPSG:32632", "transform": rasterio.transform.from_origin(x, y, pixel, pixel)}
