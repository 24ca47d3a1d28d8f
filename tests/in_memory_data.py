"""A data set in memory that is told what each image shows."""

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy


class InMemory:
    """Black images of 16 x 16 pixels, a column of four for each segment.

    Args:
        shows: for each image, the (class index, crowd) of its segments.
        taxonomy: by default "thing" and "stuff".
    """

    def __init__(self, shows: list[list[tuple[int, bool]]], taxonomy: Taxonomy | None = None) -> None:
        self.shows = shows
        self.taxonomy = taxonomy or plain_taxonomy(["thing", "stuff"], things=["thing"])

    def __len__(self) -> int:
        return len(self.shows)

    def name_of(self, index: int) -> str:
        return str(index)

    def image_id(self, index: int) -> int:
        return index

    def load_image(self, index: int) -> np.ndarray:
        return np.zeros((16, 16, 3), np.uint8)

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        ids = np.zeros((16, 16), np.int32)
        segments = []
        for k, (class_index, crowd) in enumerate(self.shows[index]):
            ids[:, 4 * k : 4 * k + 4] = k + 1
            segments.append(Segment(k + 1, class_index, is_crowd=crowd))
        return self.load_image(index), PanopticMap(ids, tuple(segments))
