"""The place of a raster is that of its stored pixels, whichever way up the prediction was made."""

from pathlib import Path

import numpy as np
import pytest

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.orientation import STORED, UPRIGHT, Orientation
from pantile.predict import PanopticResult
from pantile.predict.georeferenced import write_georeferenced
from turned_photos import SHOWN

rasterio = pytest.importorskip("rasterio")
PLACE = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 5e5, 0, -0.2, 5e6)}


@pytest.mark.parametrize("frame", [UPRIGHT, STORED])
def test_a_turned_map_is_turned_back(frame: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.arange(24, dtype=np.int32).reshape(4, 6)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", dtype="uint8", height=4, width=6, count=1, **PLACE
    ) as file:
        file.write(stored.astype(np.uint8), 1)
    monkeypatch.setattr("pantile.predict.georeferenced.read_orientation", lambda path: Orientation(6, (4, 6)))
    ids = np.ascontiguousarray(SHOWN[6](stored)) if frame == UPRIGHT else stored
    panoptic = PanopticMap(ids, tuple(Segment(k, 0) for k in range(1, 24)))
    result = PanopticResult(np.zeros((*ids.shape, 1), np.uint8), panoptic, plain_taxonomy(["roof"], things=["roof"]))
    write_georeferenced(tmp_path / "a.tif", result, tmp_path / "out.tif", frame)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert np.array_equal(file.read(1), stored)
        assert file.transform == PLACE["transform"]
