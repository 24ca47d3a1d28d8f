"""DataLoaders for training and evaluation."""

from collections.abc import Iterator

from torch.utils.data import DataLoader

from pantile.contracts.errors import UserError
from pantile.data.augment import AugmentConfig
from pantile.data.dataset import PanopticDataset
from pantile.data.evaluation_samples import EvaluationSamples, collate_evaluation
from pantile.data.fit import FitConfig
from pantile.data.sampler import InfiniteSampler
from pantile.data.training_samples import TrainingSamples, collate


class Loader(DataLoader):
    """A DataLoader that lets a UserError of a worker process through as its one sentence."""

    def __iter__(self) -> Iterator:
        try:
            yield from super().__iter__()
        except UserError as error:
            # torch re-raises it with the worker's traceback as message, whose last line is the sentence
            raise UserError(str(error).rsplit("UserError: ", 1)[-1].strip()) from None


def training_loader(
    dataset: PanopticDataset,
    config: AugmentConfig,
    batch_size: int,
    *,
    seed: int = 0,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Loader:
    """Endless batches of ``(images (B, 3, H, W) uint8, PanopticTargets)``.

    Sharding is done here: under Lightning, pass ``use_distributed_sampler=False`` to the Trainer.

    Args:
        batch_size: images per process and step.
        start: samples that an earlier run has used, over all processes.
        workers: loading processes; 0 loads in the training process.
    """
    return Loader(
        TrainingSamples(dataset, config, seed),
        batch_size=batch_size,
        sampler=InfiniteSampler(len(dataset), seed, start, rank, world_size),
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
    )


def evaluation_loader(
    dataset: PanopticDataset,
    size: tuple[int, int] | FitConfig,
    batch_size: int = 1,
    *,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Loader:
    """Each image once, as ``EvaluationBatch``; process r of N takes every N-th image, none is repeated."""
    return Loader(
        EvaluationSamples(dataset, size),
        batch_size=batch_size,
        sampler=range(rank, len(dataset), world_size),
        collate_fn=collate_evaluation,
        num_workers=workers,
        pin_memory=pin_memory,
    )
