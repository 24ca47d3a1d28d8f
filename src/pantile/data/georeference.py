"""Where the pixels of a raster lie on the Earth: read from an image, written beside what is predicted of it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pantile.data.image_header import read_header
from pantile.data.raster_file import DRIVERS, EXTRA, has_rasterio, load_rasterio, telling

_PHOTO_DRIVERS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".bmp": "BMP"}
_BLOCK = 512  # side of the tiles that are written


@dataclass(frozen=True)
class Georeference:
    """In rasterio's own objects.

    Attributes:
        crs: the coordinate reference system; None where the file names none.
        transform: column and row to x and y; None where there are ground control points instead.
        points, points_crs: ground control points and their reference system.
        rpcs: rational polynomial coefficients; None where there are none.
    """

    crs: Any
    transform: Any
    points: tuple
    points_crs: Any
    rpcs: Any


def georeference_of(path: Path) -> Georeference | None:
    """None for a photo, and for a raster that has no place: GeoTIFF and GeoJP2 tags, and world files, count.

    Warns:
        UserWarning: the file has a place, but rasterio is not installed.
    """
    header = read_header(path)
    tagged = header is not None and header.tiff is not None and header.tiff.pages[0].georeferenced
    beside = any(file.is_file() for file in _world_files(path))
    if not tagged and not beside and (header is None or header.format != "JPEG2000"):
        return None
    if not has_rasterio():
        if tagged or beside:
            warnings.warn(
                f"{path} has a place on the Earth, which what is written about it cannot keep without rasterio: "
                f"{EXTRA}.",
                stacklevel=2,
            )
        return None
    driver = DRIVERS.get(header.format) if header else _PHOTO_DRIVERS.get(path.suffix.lower())
    if driver is None:
        return None
    with telling(path), load_rasterio().open(str(path.absolute()), driver=driver) as file:
        points, points_crs = file.gcps
        if file.transform.is_identity and not points and file.rpcs is None:
            return None
        transform = None if file.transform.is_identity else file.transform
        return Georeference(file.crs, transform, tuple(points), points_crs, file.rpcs)


def _world_files(path: Path) -> list[Path]:
    """Names by which GDAL finds a place beside a picture: a.jgw, a.jpgw, a.wld, a.jpg.aux.xml for a.jpg."""
    ending = path.suffix[1:]
    if len(ending) < 2:
        return []
    return [
        *(path.with_suffix(f".{end}") for end in (f"{ending[0]}{ending[-1]}w", f"{ending}w", "wld")),
        path.with_name(f"{path.name}.aux.xml"),
    ]


def write_geotiff(
    path: Path,
    size: tuple[int, int],
    rows: Callable[[slice], Sequence[np.ndarray]],
    names: Sequence[str],
    place: Georeference,
) -> None:
    """A tiled, compressed GeoTIFF of int32 with the place of the image that its pixels are about.

    Args:
        path: written as it is; atomic writing is the caller's.
        size: (height, width).
        rows: gives the (h, W) bands of some rows.
        names: descriptions of the bands.
        place: of the image.
    """
    height, width = size
    where: dict[str, Any] = {"crs": place.crs}
    if place.points:
        where = {"gcps": list(place.points), "crs": place.points_crs}
    elif place.transform is not None:
        where["transform"] = place.transform
    if place.rpcs is not None:
        where["rpcs"] = place.rpcs
    if min(size) >= _BLOCK:
        where |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    rasterio = load_rasterio()
    with telling(path, "cannot be written", "free some space or choose another folder"), rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=len(names), dtype="int32", compress="deflate",
        interleave="band", BIGTIFF="IF_SAFER", **where,
    ) as file:  # fmt: skip
        for number, name in enumerate(names, start=1):
            file.set_band_description(number, name)
        for top in range(0, height, _BLOCK):
            part = slice(top, min(top + _BLOCK, height))
            window = rasterio.windows.Window(0, top, width, part.stop - top)
            for number, band in enumerate(rows(part), start=1):
                file.write(band.astype(np.int32, copy=False), number, window=window)
