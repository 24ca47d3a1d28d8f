"""What is predicted of a raster with a place on the Earth, as a GeoTIFF with the same place."""

from pathlib import Path

import numpy as np

from pantile.contracts.atomic import replacing
from pantile.data.georeference import georeference_of, write_geotiff
from pantile.data.image_files import read_orientation
from pantile.data.orientation import STORED, turn
from pantile.predict.result import PanopticResult

BANDS = ("segment id (0: void)", "category id (-1: void)")
VOID_CATEGORY = -1


def write_georeferenced(image: Path, result: PanopticResult, target: Path, frame: str) -> Path | None:
    """A GeoTIFF with two int32 bands: the ids of the PNG, and the category id of each pixel.

    Args:
        image: the file that was predicted; nothing is written where it has no place.
        result: of it.
        target: the file to write; its folder is made where it is missing.
        frame: of the result. The place is that of the pixels as stored, so a turned image's map is turned back.
    """
    place = georeference_of(image)
    if place is None:
        return None
    categories = np.full(max((s.id for s in result.segments), default=0) + 1, VOID_CATEGORY, dtype=np.int32)
    for segment in result.segments:
        categories[segment.id] = result.taxonomy.classes[segment.class_index].id

    whole = turn(result.map, read_orientation(image).tag, frame, STORED)

    def rows(part: slice) -> list[np.ndarray]:
        ids = whole[part]
        return [ids, categories[ids]]

    with replacing(target) as temporary:
        write_geotiff(temporary, whole.shape, rows, BANDS, place)
    return target
