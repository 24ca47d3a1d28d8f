"""evaluate(): a trained model and a data set in, numbers that people can trust out."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.contracts.predictions import Task
from pantile.data import PanopticDataset, with_classes
from pantile.data.bands import check_bands, read_as, settle_reading
from pantile.data.reading import Reading
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.devices import AUTO
from pantile.engine.loaders import evaluation_loader
from pantile.engine.measures import main_metric, measurable, per_class, validation_tasks
from pantile.engine.meters import ALL_TASKS, Evaluation, Meters
from pantile.engine.processes import processes
from pantile.engine.task import PanopticTask
from pantile.engine.telling import on_terminal
from pantile.engine.train import make_trainer
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.inference.whole_images import whole_image_loader
from pantile.models import fold_batch_norms


def evaluate(
    checkpoint: Checkpoint,
    dataset: PanopticDataset,
    limit: int | None = None,
    views: Views | None = None,
    tasks: frozenset[Task] = ALL_TASKS,
    tiling: Tiling | None = None,
    reading: Reading | None = None,
    device: str = AUTO,
) -> Evaluation:
    """How good a checkpoint is on a data set: what ``tasks`` asks for, the run's main metric first.

    Args:
        limit: only the first images.
        tasks: those that the model can be measured by are; where it is none of them, what a validation measures.
        views: scales and mirror images to average over; None is each image as it is.
        tiling: how images are cut into tiles; None takes each as a whole, at the config's evaluation size.
        reading: of the images; None is what the data's ``dataset.yaml`` says, else what the model was trained with.
        device: see ``device_named``.

    Raises:
        UserError: the data set's classes are not the checkpoint's (their order may differ), or no such device.
    """
    dataset = prepared(checkpoint, dataset, reading)
    task = load_task(checkpoint)
    world = processes()
    with_bar = world.rank == 0 and on_terminal()
    trainer = make_trainer(checkpoint.config, device=device, logger=False, enable_progress_bar=with_bar)
    if tiling is None:
        loader = evaluation_loader(dataset, checkpoint.config, world.rank, world.total, limit)
    else:
        workers = checkpoint.config.training.workers
        loader = whole_image_loader(dataset, workers, world.rank, world.total, limit)
    config = checkpoint.config
    measured = measurable(config, tasks) or validation_tasks(config)
    task.meters = Meters(task.taxonomy, measured, not per_class(config), main_metric(config))
    task.views = views or Views()
    task.tiling = tiling
    trainer.validate(task, loader, verbose=False)
    evaluation = task.meters.compute()
    return replace(evaluation, per_image=_gather(evaluation.per_image, world.total))


def prepared(checkpoint: Checkpoint, dataset: PanopticDataset, reading: Reading | None = None) -> PanopticDataset:
    """The data set as the model takes it: classes in its order, images of its bands; see ``evaluate``."""
    dataset = in_its_classes(checkpoint, dataset)
    channels = checkpoint.config.model.in_channels
    if reading is None:
        check_bands(checkpoint.config.model, dataset)
        settle_reading(dataset, checkpoint.config.images, channels)
    else:
        read_as(dataset, reading, channels)
    return dataset


def load_task(checkpoint: Checkpoint) -> PanopticTask:
    """A task with the checkpoint's weights for inference only: eval mode, batch norms folded into convolutions.

    Raises:
        UserError: a tensor of the model is missing, left over or of another shape.
    """
    task = PanopticTask(checkpoint.config, checkpoint.taxonomy, filled=True)
    for part, module in (("model", task.model), ("techniques", task.techniques)):
        _load_all(module, checkpoint.part(part), f"{checkpoint.path}: its {part}")
    task.eval()
    task.model = fold_batch_norms(task.model)
    for technique in task.techniques.values():
        technique.attach(task.model)
    return task


def in_its_classes(checkpoint: Checkpoint, dataset: PanopticDataset) -> PanopticDataset:
    """The data set with its classes in the order of the checkpoint's.

    Raises:
        UserError: the classes are not the checkpoint's.
    """
    model, remedy = f"the model {checkpoint.path}", "fine-tune with `pantile train ... --init` first"
    return with_classes(dataset, checkpoint.taxonomy, "the data", model, remedy)


def _load_all(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    own = module.state_dict()
    wrong = (
        ("lack", [name for name in own if name not in state]),
        ("have in surplus", [name for name in state if name not in own]),
        ("have in another shape", [n for n in own if n in state and state[n].shape != own[n].shape]),
    )
    told = [f"{what} {len(names)} tensors (the first is {names[0]})" for what, names in wrong if names]
    if told:
        raise UserError(
            f"{where} weights {' and '.join(told)}, so it is not the network of its config: leave model.* and "
            "techniques.* as they were trained, or start a training from it with --init."
        )
    module.load_state_dict(state)


def _gather(per_image: list[tuple[int, float]], world_size: int) -> list[tuple[int, float]]:
    if world_size == 1:
        return sorted(per_image)
    parts: list = [None] * world_size
    torch.distributed.all_gather_object(parts, per_image)
    return sorted(item for part in parts for item in part)
