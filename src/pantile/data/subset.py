"""A part of a data set, with the same members."""

from collections.abc import Sequence

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.videos import Video
from pantile.data.dataset import PanopticDataset
from pantile.data.samples import Samples


class Subset(Samples):
    """The images ``indices`` of another data set, in that order."""

    def __init__(self, dataset: PanopticDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = list(indices)
        self.taxonomy = dataset.taxonomy

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def videos(self) -> tuple[Video, ...]:
        """Of a data set of videos: what is left of them. AttributeError of one of images."""
        place = {index: position for position, index in enumerate(self.indices)}
        kept = (Video(v.name, [place[k] for k in v.frames if k in place]) for v in self.dataset.videos)
        return tuple(video for video in kept if len(video))

    def name_of(self, index: int) -> str:
        return self.dataset.name_of(self.indices[index])

    def image_id(self, index: int) -> int | str:
        return self.dataset.image_id(self.indices[index])

    def segment_counts(self) -> list[int]:
        counts = self.dataset.segment_counts()
        return [counts[index] for index in self.indices] if counts else []

    def load_image(self, index: int) -> np.ndarray:
        return self.dataset.load_image(self.indices[index])

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        return self.dataset.load(self.indices[index])


def first_images(dataset: PanopticDataset, count: int | None) -> PanopticDataset:
    """The first ``count`` images; all of them when ``count`` is None or larger than the data set."""
    if count is None or count >= len(dataset):
        return dataset
    if count < 1:
        raise UserError(f"A limit of {count} leaves no image: give at least 1.")
    return Subset(dataset, range(count))
