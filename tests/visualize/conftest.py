"""Small made-up scenes for the drawing tests."""

import numpy as np
import pytest

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy


@pytest.fixture
def taxonomy() -> Taxonomy:
    return Taxonomy(
        (
            ClassInfo("window", True, 1, (70, 200, 230)),
            ClassInfo("car", True, 2, (220, 40, 40)),
            ClassInfo("wall", False, 6, (150, 130, 90)),
            ClassInfo("street", False, 9, (130, 70, 140)),
        )
    )


@pytest.fixture
def photo() -> np.ndarray:
    """(48, 64, 3) uint8 noise."""
    return np.random.default_rng(5).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def scene() -> PanopticMap:
    """Wall, street, two touching windows, a crowd of cars, and void on top; one id is as large as COCO's."""
    ids = np.zeros((48, 64), dtype=np.int32)
    ids[10:36] = 7
    ids[36:] = 9_000_001
    ids[14:24, 8:20], ids[14:24, 20:32] = 3, 12
    ids[34:44, 40:60] = 255
    rows = (Segment(7, 2), Segment(9_000_001, 3), Segment(3, 0), Segment(12, 0), Segment(255, 1, is_crowd=True))
    return PanopticMap(ids, rows)
