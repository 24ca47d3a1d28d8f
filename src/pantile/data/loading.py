"""DataLoaders for training and evaluation."""

from functools import partial

from torch.utils.data import Sampler

from pantile.contracts.errors import UserError
from pantile.data.augment import AugmentConfig
from pantile.data.clip_samples import ClipSamples, collate_clips
from pantile.data.dataset import PanopticDataset
from pantile.data.evaluation_samples import EvaluationSamples, collate_evaluation
from pantile.data.filter_empty import images_with_things
from pantile.data.fit import FitConfig
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.loader import Loader
from pantile.data.paired_crops import PairedCropSampler
from pantile.data.repeat_factor import RepeatFactorSampler, repeat_factors
from pantile.data.sampler import InfiniteSampler
from pantile.data.segment_index import class_presence, segment_index
from pantile.data.subset import Subset
from pantile.data.training_samples import TrainingSamples, collate


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
    """Endless batches of ``(images (B, C, H, W) uint8, PanopticTargets)``, of one size, or with ``config.pad`` "batch"
    each of its own.

    With ``config.clip``, a batch holds ``batch_size`` clips: T times as many images, T neighbours to a clip.
    With ``config.pairs``, images 2i and 2i + 1 of a batch are partners. For these, and for ``config.filter_empty``, the
    labels may be read once beforehand.
    Sharding is done here: under Lightning, pass ``use_distributed_sampler=False`` to the Trainer.

    Args:
        batch_size: images per process and step.
        start: samples that an earlier run has used, over all processes.
        workers: loading processes; 0 loads in the training process.

    Raises:
        UserError: nothing to draw from (with ``config.filter_empty`` nothing with things), or paired crops with an odd
            batch.
    """
    _tell_ahead(dataset, workers)
    samples, draws = training_stream(
        dataset, config, batch_size, seed=seed, start=start, rank=rank, world_size=world_size, workers=workers
    )
    multiple = config.pad_multiple if config.pad == "batch" else 1
    return Loader(
        samples,
        batch_size=batch_size,
        sampler=draws,
        collate_fn=partial(collate if config.clip is None else collate_clips, multiple=multiple),
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
    )


def training_stream(
    dataset: PanopticDataset,
    config: AugmentConfig,
    batch_size: int,
    *,
    seed: int = 0,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
) -> tuple[TrainingSamples | ClipSamples, Sampler]:
    """What ``training_loader`` loads, and the endless draws in whose order it does."""
    if config.clip is not None:
        clips = ClipSamples(dataset, config, seed)
        return clips, InfiniteSampler(len(clips), seed, start, rank, world_size)
    if config.filter_empty:
        dataset = images_with_things(dataset, workers, tell=rank == 0)
    draws = _sampler(dataset, config, batch_size, seed, start, rank, world_size, workers)
    return TrainingSamples(dataset, config, seed), draws


def _tell_ahead(dataset: PanopticDataset, workers: int) -> None:
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    if workers and isinstance(dataset, LabelledPhotos):
        dataset.tell_ahead()


def _sampler(
    dataset: PanopticDataset,
    config: AugmentConfig,
    batch_size: int,
    seed: int,
    start: int,
    rank: int,
    world_size: int,
    workers: int,
) -> Sampler:
    config.check()
    if config.repeat_threshold:
        presence = class_presence(dataset, workers, progress=rank == 0)
        factors = repeat_factors(presence, config.repeat_threshold)
        return RepeatFactorSampler(factors, seed, start, rank, world_size)
    if config.pairs is None:
        return InfiniteSampler(len(dataset), seed, start, rank, world_size)
    if batch_size % 2:
        raise UserError(
            f"augment.pairs puts two crops of a class side by side, but a process takes {batch_size} at once: choose "
            "an even training.device_batch (or training.effective_batch)."
        )
    index = segment_index(dataset, workers, progress=rank == 0)
    return PairedCropSampler(index, config.pairs.target_sizes, seed, start, rank, world_size)


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
    _tell_ahead(dataset, workers)
    return Loader(
        EvaluationSamples(dataset, size),
        batch_size=batch_size,
        sampler=range(rank, len(dataset), world_size),
        collate_fn=collate_evaluation,
        num_workers=workers,
        pin_memory=pin_memory,
    )
