"""Shared helpers of the data tests."""

import numpy as np
import pytest

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy


class PaletteData:
    """A data set in memory whose images show each segment in a flat colour of its class: colour gives away the label.

    Every thing has a class of its own, so the class of a row tells which source segment it is.
    """

    def __init__(self, maps: list[PanopticMap], taxonomy: Taxonomy) -> None:
        self.maps = maps
        self.taxonomy = taxonomy
        rng = np.random.default_rng(5)
        self.palette = rng.permutation(np.stack(np.meshgrid(*[[0, 60, 120, 180, 240]] * 3), -1).reshape(-1, 3))
        self.palette = self.palette[: len(taxonomy) + 1].astype(np.uint8)  # the last one is void
        self.loads = 0

    def __len__(self) -> int:
        return len(self.maps)

    def name_of(self, index: int) -> str:
        return f"image_{index}"

    def image_id(self, index: int) -> int:
        return index

    def load_image(self, index: int) -> np.ndarray:
        panoptic = self.maps[index]
        classes = np.full(panoptic.size, len(self.taxonomy))
        for segment in panoptic.segments:
            classes[panoptic.ids == segment.id] = segment.class_index
        return self.palette[classes]

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        self.loads += 1
        return self.load_image(index), self.maps[index]


def block_map(seed: int, size: tuple[int, int], taxonomy: Taxonomy, crowd_class: int | None = None) -> PanopticMap:
    """Random blocks, one segment per class (or void); ``crowd_class`` becomes a crowd region."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(-1, len(taxonomy), (4, 5))
    rows = np.arange(size[0]) * 4 // size[0]
    columns = np.arange(size[1]) * 5 // size[1]
    classes = owner[rows][:, columns]
    ids = np.where(classes >= 0, (classes + 1) * 1000 + seed, 0).astype(np.int32)
    segments = [
        Segment((k + 1) * 1000 + seed, k, is_crowd=k == crowd_class) for k in np.unique(classes).tolist() if k >= 0
    ]
    return PanopticMap(ids, tuple(segments))


@pytest.fixture
def palette_data() -> PaletteData:
    """Six images of different sizes, eight thing and four stuff classes; class 0 is always crowd."""
    names = [f"thing{k}" for k in range(8)] + [f"stuff{k}" for k in range(4)]
    taxonomy = plain_taxonomy(names, things=names[:8])
    sizes = [(96, 128), (128, 96), (65, 65), (40, 200), (150, 90), (33, 47)]
    return PaletteData([block_map(k, size, taxonomy, crowd_class=0) for k, size in enumerate(sizes)], taxonomy)
