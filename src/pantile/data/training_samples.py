"""TrainingSamples: augmented images and targets, reproducible whatever the number of workers or restarts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.data.augment import AugmentConfig, augment
from pantile.data.copy_paste import choose_rows, paste
from pantile.data.dataset import PanopticDataset
from pantile.data.label_rows import LabelRows, label_rows


class TrainingSample(NamedTuple):
    """One augmented image.

    Attributes:
        image: (3, H, W) uint8.
        ids: (H, W) int16; 0 void (unlabelled or padding), r + 1 for row r.
        classes: (R,) int64 class index of each row.
        crowd: (R,) bool.
        name: the image's name.
    """

    image: Tensor
    ids: Tensor
    classes: Tensor
    crowd: Tensor
    name: str


class TrainingSamples(Dataset):
    """A map-style data set whose index is ``(dataset_index, draw)``, as ``InfiniteSampler`` gives it.

    Everything random about a sample derives from ``(seed, draw)``: results depend neither on the number of workers nor
    on where a run was interrupted.

    Args:
        dataset: where images come from.
        config: the recipe.
        seed: of the whole stream.
    """

    def __init__(self, dataset: PanopticDataset, config: AugmentConfig, seed: int = 0) -> None:
        config.check()
        self.dataset = dataset
        self.config = config
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: tuple[int, int]) -> TrainingSample:
        dataset_index, draw = index
        rng = np.random.default_rng([self.seed, draw])
        for _ in range(self.config.redraws):
            sample, labelled = self._draw(dataset_index, rng)
            if not sample.crowd.all() and labelled >= self.config.min_labelled_pixels:
                return sample
            dataset_index = int(rng.integers(len(self.dataset)))
        return self._draw(dataset_index, rng)[0]

    def _draw(self, dataset_index: int, rng: np.random.Generator) -> tuple[TrainingSample, int]:
        """A sample and its number of pixels that are neither void nor crowd."""
        image, labels = self._augmented(dataset_index, rng)
        if self.config.copy_paste > 0 and rng.random() < self.config.copy_paste:
            other = int(rng.integers(len(self.dataset)))
            source_image, source = self._augmented(other, rng, self.config.copy_paste_scale)
            chosen = choose_rows(source, self.dataset.taxonomy, rng)
            image, labels = paste(image, labels, source_image, source, chosen, self.dataset.taxonomy)
        areas = labels.areas()
        labelled = int(areas[~labels.crowd].sum())
        labels = labels.keep(areas >= max(self.config.min_pixels, 1))
        sample = TrainingSample(
            image=image,
            ids=torch.from_numpy(labels.ids),
            classes=torch.from_numpy(labels.classes),
            crowd=torch.from_numpy(labels.crowd),
            name=self.dataset.name_of(dataset_index),
        )
        return sample, labelled

    def _augmented(
        self, dataset_index: int, rng: np.random.Generator, scale_factor: float = 1.0
    ) -> tuple[Tensor, LabelRows]:
        image, panoptic = self.dataset.load(dataset_index)
        return augment(image, label_rows(panoptic, self.dataset.taxonomy), self.config, rng, scale_factor)


def collate(samples: Sequence[TrainingSample]) -> tuple[Tensor, PanopticTargets]:
    """A batch: (B, 3, H, W) uint8 images and their targets."""
    images, ids, classes, crowd, names = zip(*samples, strict=True)
    return torch.stack(images), collate_targets(ids, classes, crowd, names)
