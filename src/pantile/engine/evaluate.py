"""evaluate(): a trained model and a data set in, numbers that people can trust out."""

from dataclasses import replace

import torch

from pantile.contracts.errors import UserError
from pantile.contracts.predictions import Task
from pantile.data import PanopticDataset
from pantile.data.bands import check_bands, read_as, settle_reading
from pantile.data.reading import Reading
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.config import without_download
from pantile.engine.loaders import evaluation_loader
from pantile.engine.meters import ALL_TASKS, Evaluation, Meters
from pantile.engine.processes import processes
from pantile.engine.task import PanopticTask
from pantile.engine.tiles import Tiling
from pantile.engine.train import make_trainer
from pantile.engine.views import Views
from pantile.engine.whole_images import whole_image_loader
from pantile.models import fold_batch_norms


def evaluate(
    checkpoint: Checkpoint,
    dataset: PanopticDataset,
    limit: int | None = None,
    views: Views | None = None,
    tasks: frozenset[Task] = ALL_TASKS,
    tiling: Tiling | None = None,
    reading: Reading | None = None,
) -> Evaluation:
    """How good a checkpoint is on a data set: panoptic quality, and what else ``tasks`` asks for.

    Args:
        limit: only the first images.
        views: scales and mirror images to average over; None is each image as it is.
        tiling: how images are cut into tiles; None takes each as a whole, at the config's evaluation size.
        reading: of the images; None is what the data's ``dataset.yaml`` says, else what the model was trained with.

    Raises:
        UserError: the data set's classes are not the checkpoint's.
    """
    check_same_classes(checkpoint, dataset)
    channels = checkpoint.config.model.in_channels
    if reading is None:
        check_bands(checkpoint.config.model, dataset)
        settle_reading(dataset, checkpoint.config.images, channels)
    else:
        read_as(dataset, reading, channels)
    task = load_task(checkpoint)
    world = processes()
    trainer = make_trainer(checkpoint.config, logger=False, enable_progress_bar=world.rank == 0)
    if tiling is None:
        loader = evaluation_loader(dataset, checkpoint.config, world.rank, world.total, limit)
    else:
        workers = checkpoint.config.training.workers
        loader = whole_image_loader(dataset, workers, world.rank, world.total, limit)
    task.meters = Meters(task.taxonomy, tasks)
    task.views = views or Views()
    task.tiling = tiling
    trainer.validate(task, loader, verbose=False)
    evaluation = task.meters.compute()
    return replace(evaluation, per_image=_gather(evaluation.per_image, world.total))


def load_task(checkpoint: Checkpoint) -> PanopticTask:
    """A task with the checkpoint's weights for inference only: eval mode, batch norms folded into convolutions.

    Strict: every tensor of the model must be there.
    """
    task = PanopticTask(without_download(checkpoint.config), checkpoint.taxonomy)
    task.model.load_state_dict(checkpoint.part("model"))
    task.techniques.load_state_dict(checkpoint.part("techniques"))
    task.eval()
    task.model = fold_batch_norms(task.model)
    for technique in task.techniques.values():
        technique.attach(task.model)
    return task


def check_same_classes(checkpoint: Checkpoint, dataset: PanopticDataset) -> None:
    own, theirs = checkpoint.taxonomy, dataset.taxonomy
    if own.fingerprint == theirs.fingerprint:
        return
    missing = [name for name in theirs.names if name not in own.names]
    surplus = [name for name in own.names if name not in theirs.names]
    difference = [f"the model lacks {', '.join(missing[:5])}"] if missing else []
    difference += [f"the data lacks {', '.join(surplus[:5])}"] if surplus else []
    raise UserError(
        f"{checkpoint.path}: its {len(own)} classes are not the data's {len(theirs)} "
        f"({'; '.join(difference) or 'the order or the thing flags differ'}); "
        "fine-tune with `pantile train ... --init` first."
    )


def _gather(per_image: list[tuple[int, float]], world_size: int) -> list[tuple[int, float]]:
    if world_size == 1:
        return sorted(per_image)
    parts: list = [None] * world_size
    torch.distributed.all_gather_object(parts, per_image)
    return sorted(item for part in parts for item in part)
