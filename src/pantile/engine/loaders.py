"""Data loaders of a run: the config's numbers turned into each process's share."""

import torch
from torch.utils.data import DataLoader

from pantile.contracts.errors import UserError
from pantile.data import PanopticDataset, first_images
from pantile.data import loading as data_loading
from pantile.engine.config import RunConfig, TrainingConfig


def split_batch(config: TrainingConfig, world_size: int) -> tuple[int, int]:
    """(images per device at once, accumulation steps) that give the effective batch on ``world_size`` devices.

    Raises:
        UserError: when the effective batch cannot be divided so.
    """
    if config.effective_batch % world_size:
        raise UserError(
            f"training.effective_batch={config.effective_batch} cannot be shared by {world_size} processes: "
            f"choose a multiple of {world_size}."
        )
    per_device = config.effective_batch // world_size
    device_batch = config.device_batch or per_device
    if per_device % device_batch:
        raise UserError(
            f"training.device_batch={device_batch} does not divide the {per_device} images that each of "
            f"{world_size} processes takes per step: choose a divisor."
        )
    return device_batch, per_device // device_batch


def training_loader(
    dataset: PanopticDataset, config: RunConfig, rank: int = 0, world_size: int = 1, finished_steps: int = 0
) -> DataLoader:
    """An endless loader whose stream goes on after ``finished_steps`` optimizer steps as if never interrupted."""
    device_batch, _ = split_batch(config.training, world_size)
    return data_loading.training_loader(
        dataset,
        config.augment,
        device_batch,
        seed=config.seed,
        start=finished_steps * config.training.effective_batch,
        rank=rank,
        world_size=world_size,
        workers=config.training.workers,
        pin_memory=torch.cuda.is_available(),
    )


def evaluation_loader(
    dataset: PanopticDataset, config: RunConfig, rank: int = 0, world_size: int = 1, limit: int | None = None
) -> DataLoader:
    """This process's share of the first ``limit`` images, each exactly once over all processes.

    Raises:
        UserError: there are fewer images than processes, of which each takes part in the counting.
    """
    shared = first_images(dataset, limit)
    if len(shared) < world_size:
        raise UserError(
            f"{len(shared)} image(s) to evaluate cannot be shared by {world_size} processes: take more images "
            "(training.validation_images, --limit), or start fewer processes."
        )
    return data_loading.evaluation_loader(
        shared,
        config.evaluation_size,
        rank=rank,
        world_size=world_size,
        workers=config.training.workers,
        pin_memory=torch.cuda.is_available(),
    )
