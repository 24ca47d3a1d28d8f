"""Evaluation images at their own size: what is cut into tiles must not be shrunk first."""

import torch
from torch.utils.data import DataLoader, Dataset

from pantile.contracts.placement import Placement
from pantile.data import PanopticDataset, first_images
from pantile.data.evaluation_samples import EvaluationSample, collate_evaluation
from pantile.data.loading import Loader
from pantile.data.resize import image_tensor


class WholeImages(Dataset):
    """Images as they are, neither resized nor padded."""

    def __init__(self, dataset: PanopticDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> EvaluationSample:
        image, panoptic = self.dataset.load(index)
        size = (image.shape[0], image.shape[1])
        return EvaluationSample(image_tensor(image), Placement(size, size, size), panoptic, index)


def whole_image_loader(
    dataset: PanopticDataset, workers: int, rank: int = 0, world_size: int = 1, limit: int | None = None
) -> DataLoader:
    """This process's share of the first ``limit`` images, one at a time, each exactly once over all processes."""
    shared = first_images(dataset, limit)
    return Loader(
        WholeImages(shared),
        batch_size=1,
        sampler=range(rank, len(shared), world_size),
        collate_fn=collate_evaluation,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
