"""EvaluationSamples: whole images fitted into the network's input, with the label at its original size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.placement import Placement
from pantile.data.dataset import PanopticDataset
from pantile.data.fit import FitConfig
from pantile.data.resize import fit_to


class EvaluationSample(NamedTuple):
    """One image.

    Attributes:
        image: (C, H, W) uint8, padded.
        placement: where the image lies in it.
        panoptic: ground truth at the image's original size.
        index: position in the data set.
    """

    image: Tensor
    placement: Placement
    panoptic: PanopticMap
    index: int


@dataclass(frozen=True)
class EvaluationBatch:
    """A batch; only ``images`` moves to a device.

    Attributes:
        images: (B, C, H, W) uint8.
        placements, panoptic, indices: one entry per image.
    """

    images: Tensor
    placements: tuple[Placement, ...]
    panoptic: tuple[PanopticMap, ...]
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "EvaluationBatch":
        return replace(self, images=self.images.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "EvaluationBatch":
        return replace(self, images=self.images.pin_memory())


class EvaluationSamples(Dataset):
    """Images resized with their aspect kept, padded at the bottom and right.

    Args:
        dataset: where images come from.
        size: (height, width) of the network's input, into which every image is fitted; or a rule that gives every image
            an input size of its own, so that only images of one size can share a batch.
    """

    def __init__(self, dataset: PanopticDataset, size: tuple[int, int] | FitConfig) -> None:
        self.dataset = dataset
        self.size = size

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> EvaluationSample:
        image, panoptic = self.dataset.load(index)
        tensor, placement = fit_to(image, self.size)
        return EvaluationSample(tensor, placement, panoptic, index)


def collate_evaluation(samples: Sequence[EvaluationSample]) -> EvaluationBatch:
    images, placements, panoptic, indices = zip(*samples, strict=True)
    return EvaluationBatch(torch.stack(images), placements, panoptic, indices)
