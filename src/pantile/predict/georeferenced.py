"""What is predicted of a raster with a place on the Earth, as a GeoTIFF with the same place."""

from pathlib import Path

import numpy as np

from pantile.contracts.atomic import replacing
from pantile.data.georeference import georeference_of, write_geotiff
from pantile.predict.result import PanopticResult

BANDS = ("segment id (0: void)", "category id (-1: void)")
VOID_CATEGORY = -1


def write_georeferenced(image: Path, result: PanopticResult, target: Path) -> Path | None:
    """A GeoTIFF with two int32 bands: the ids of the PNG, and the category id of each pixel.

    Args:
        image: the file that was predicted; nothing is written where it has no place.
        result: of it.
        target: the file to write; its folder is made where it is missing.
    """
    place = georeference_of(image)
    if place is None:
        return None
    categories = np.full(max((s.id for s in result.segments), default=0) + 1, VOID_CATEGORY, dtype=np.int32)
    for segment in result.segments:
        categories[segment.id] = result.taxonomy.classes[segment.class_index].id

    def rows(part: slice) -> list[np.ndarray]:
        ids = result.map[part]
        return [ids, categories[ids]]

    with replacing(target) as temporary:
        write_geotiff(temporary, result.panoptic.size, rows, BANDS, place)
    return target
