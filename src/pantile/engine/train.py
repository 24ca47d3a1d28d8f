"""train(): a config and two data sets in, a run folder out."""

import logging
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import nn

from pantile.contracts.errors import UserError
from pantile.contracts.interruption import Wish, handling
from pantile.data import PanopticDataset, with_classes
from pantile.data.bands import check_bands, check_reading, read_as
from pantile.engine.callbacks import CallersSignals, StepProgress
from pantile.engine.checkpoint import LAST, Checkpoint, load_checkpoint
from pantile.engine.checkpoint_files import CheckpointFiles, file_to_resume
from pantile.engine.compiling import compile_network
from pantile.engine.config import RunConfig, save_yaml, without_download
from pantile.engine.devices import AUTO, device_named
from pantile.engine.loaders import evaluation_loader, split_batch, training_loader
from pantile.engine.loggers import check_loggers, loggers_of
from pantile.engine.measures import best_metric
from pantile.engine.processes import processes
from pantile.engine.resuming import check_resumable
from pantile.engine.run_checkpoints import RunCheckpoints
from pantile.engine.run_record import RECORD, RunRecord
from pantile.engine.sharding import check_shard, strategy_of
from pantile.engine.task import PanopticTask
from pantile.engine.telling import LogLines, ZeroWarning, closing_table, on_terminal
from pantile.engine.transfer import MIN_SHARE, check_share, transfer, transfer_techniques
from pantile.engine.weight_average import AverageWeights
from pantile.layers.sync_batch_norm import synchronise_batch_norm
from pantile.models.backbone_weights import start_of_backbone, with_named_weights
from pantile.techniques.base import settled_techniques

CONFIG = "config.yaml"
#: what a run folder holds before its first checkpoint
BEFORE_FIRST_STEP = {CONFIG, RECORD, LAST.parent.name, "logs", "tensorboard", "wandb"}


def train(
    config: RunConfig,
    training_set: PanopticDataset,
    validation_set: PanopticDataset,
    run: Path,
    init: Checkpoint | None = None,
    resume: bool = False,
    record: RunRecord | None = None,
    callbacks: Sequence[Callback] = (),
    init_min_share: float = MIN_SHARE,
    device: str = AUTO,
) -> Path:
    """Trains and returns the run folder.

    Args:
        run: receives what docs/runs.md lists. Must not exist unless resumed.
        init: weights to start from; heads are matched by class name.
        resume: continue ``run`` from its last checkpoint: same stream of samples, same schedule, same curve.
        record: how the run was started; kept in a new run folder for its report.
        callbacks: further Lightning callbacks.
        init_min_share: 0..1, how much of the model ``init`` has to fill; 0 takes anything.
        device: see ``device_named``.

    Raises:
        UserError: the folder exists, has nothing to resume, the batch cannot be shared by the processes, or the classes
            of the validation set, or of the run to resume, are not those of the training set; or ``init`` fills too
            little of the model; or the run to resume has another network or optimizer; or a device, a logger or a
            metric is not there.
        Interrupted: by Ctrl-C, SIGTERM or SIGHUP; the step that it was at is saved.
        NonFiniteLoss: a loss term is not a number; says which, on which images, at which learning rate.
    """
    world, begun = processes(), time.monotonic()
    device_type = device_named(device).type
    check_loggers(config.training.loggers)
    sharded = check_shard(config.training, world.total)
    if config.training.shard != "none" and not sharded:
        print("pantile: one process holds all weights, as with training.shard=none.", file=sys.stderr)
    start, problem = file_to_resume(run) if resume else (None, None)
    resumed = load_checkpoint(start) if resume else None
    finished_steps = (resumed.step or 0) if resume else 0
    if world.rank == 0 and not resume:
        refuse_existing(run)
    for name, dataset in (("training", training_set), ("validation", validation_set)):
        if not len(dataset):
            raise UserError(f"The {name} split has no image: name another split, or add images.")
        check_reading(config.images, dataset)
        check_bands(config.model, dataset)
        read_as(dataset, config.images, config.model.in_channels)
        dataset.load(0)  # a broken folder is told before anything is written
    training_set, validation_set = in_one_order(training_set, validation_set, resumed)
    device_batch, accumulation = split_batch(config.training, world.total)
    loader = training_loader(training_set, config, world.rank, world.total, finished_steps)
    L.seed_everything(config.seed, verbose=False)
    if init is not None and not resume:
        config = without_download(config)
    config = replace(config, model=with_named_weights(config.model))
    if not resume:
        config = replace(config, techniques=settled_techniques(config.techniques, load_checkpoint))
    if world.rank == 0 and not resume and init is None:
        Console(stderr=True).print(f"The backbone starts from {start_of_backbone(config.model)}.", soft_wrap=True)
    task = PanopticTask(config, training_set.taxonomy, filled=resume)
    if resumed is not None:
        check_resumable(task, resumed)
        if world.rank == 0:
            _tell_start(run, start, problem, finished_steps, config.training.steps)
            set_aside_later_logs(run, finished_steps)
    if world.total > 1:
        synchronise_batch_norm(task, device_type)
    if init is not None and not resume:
        report = transfer(task.model, training_set.taxonomy, init.part("model"), init.taxonomy)
        if world.rank == 0:
            Console(stderr=True).print(report.table())
        check_share(report, init_min_share, str(init.path))
        techniques = transfer_techniques(task.techniques, training_set.taxonomy, init.part("techniques"), init.taxonomy)
        if world.rank == 0:
            for name, of_technique in techniques.items():
                share = f"{100 * of_technique.share:.1f} % of the weights of techniques.{name}"
                Console(stderr=True).print(f"{init.path} fills {share}.", soft_wrap=True)
    if not resume:
        for technique in task.techniques.values():
            technique.start(load_checkpoint)
    if world.rank == 0:
        (run / LAST.parent).mkdir(parents=True, exist_ok=True)
        save_yaml(config, run / CONFIG)
        if record is not None and not resume:
            record.save(run)
        _explain_batch_norm(task.model, device_batch, world.total)
        _warn_about_segments(training_set, task.model.segment_limit)

    every = max(1, round(config.training.validate_every * config.training.steps)) * accumulation
    limit = config.training.validation_images
    validation = evaluation_loader(validation_set, config, world.rank, world.total, limit) if limit != 0 else None
    wish = Wish("pantile: stopping after this step; Ctrl-C again ends at once.", pause=float(world.total > 1))
    with handling(wish):
        files = CheckpointFiles()
        files.last_is_sound = start in (None, run / LAST)
        keeper = RunCheckpoints(
            run,
            config.training.checkpoint_minutes,
            best_metric(config),
            validates=validation is not None,
            wish=wish,
            average=config.training.average is not None,
            patience=config.training.patience,
        )
        metric = best_metric(config)
        telling: list[Callback] = []
        if validation is not None:
            telling.append(ZeroWarning(metric, config.training, len(training_set), run))
        with_bar = on_terminal()
        telling.append(StepProgress(config.training.steps * accumulation) if with_bar else LogLines(metric))
        averages = [] if config.training.average is None else [AverageWeights(config.training.average)]
        trainer = make_trainer(
            config,
            max_steps=config.training.steps,
            accumulate_grad_batches=accumulation,
            val_check_interval=every,
            check_val_every_n_epoch=None,
            gradient_clip_val=config.optimizer.gradient_clip,
            log_every_n_steps=config.training.log_every,
            device=device,
            sharded=sharded,
            logger=loggers_of(config, run, finished_steps),
            enable_progress_bar=with_bar,
            callbacks=[*averages, keeper, *telling, *callbacks],
            plugins=[files],
        )
        if config.training.compile:
            compile_network(task.model)
        try:
            trainer.fit(task, loader, validation, ckpt_path=start, weights_only=True)
        finally:
            loader.close()
        if keeper.pending(trainer.global_step):  # resumed after the last step, of which Lightning makes nothing
            trainer.validate(task, validation, verbose=False)
        keeper.finish(trainer, task)
        if wish.number is not None:
            keeper.stop(trainer)
    if world.rank == 0:
        table = closing_table(keeper, run, trainer.global_step, config.training.steps, time.monotonic() - begun)
        Console(stderr=True).print(table)
    return run


def _tell_start(run: Path, start: Path, problem: str | None, step: int, steps: int) -> None:
    if problem is not None:
        warnings.warn(f"{run / LAST}: cannot be read ({problem}); {start.name} takes its place.", stacklevel=3)
    print(f"pantile: going on after step {step} of {steps}, from {start}", file=sys.stderr)


def in_one_order(
    training_set: PanopticDataset, validation_set: PanopticDataset, resumed: Checkpoint | None
) -> tuple[PanopticDataset, PanopticDataset]:
    """Both sets with their classes in one order: that of the resumed run, else of the training set.

    Raises:
        UserError: their classes are not the same.
    """
    taxonomy, wanted_by = training_set.taxonomy, "the training split"
    if resumed is not None:
        taxonomy, wanted_by = resumed.taxonomy, f"the run {resumed.path.parent.parent}"
        remedy = "give back the classes that the run was started with, or start a new run with --init"
        training_set = with_classes(training_set, taxonomy, "the training split", wanted_by, remedy)
    remedy = "give both splits the same categories"
    return training_set, with_classes(validation_set, taxonomy, "the validation split", wanted_by, remedy)


def refuse_existing(run: Path) -> None:
    """Raises UserError where ``run`` has content: no run overwrites another.

    What a run leaves that was killed before its first checkpoint is no content: nothing could be resumed from it.
    """
    if not run.exists():
        return
    names = {path.name for path in run.iterdir()} if run.is_dir() else {run.name}
    begun = run.is_dir() and any(path.is_file() for path in (run / LAST.parent).glob("[!.]*"))
    if begun or names - BEFORE_FIRST_STEP:
        raise UserError(f"{run}: the run folder exists; continue it with --resume or choose another --out.")


def make_trainer(
    config: RunConfig, callbacks: Sequence[Callback] = (), device: str = AUTO, sharded: bool = False, **options: object
) -> L.Trainer:
    """A Lightning trainer for this process layout and device (see ``device_named``); ``options`` go to Lightning.

    Args:
        sharded: each of several processes holds a part of the weights (``ShardedStrategy``).
    """
    _quiet_lightning()
    world, place = processes(), device_named(device)
    on_gpu = place.type == "cuda"
    in_bf16 = config.training.precision == "bf16" or (config.training.precision == "auto" and on_gpu)
    return L.Trainer(
        accelerator=place.type,
        devices=world.per_node if place.index is None else [place.index],
        num_nodes=world.nodes,
        strategy=strategy_of(world.total, sharded),
        precision="bf16-mixed" if in_bf16 else "32-true",
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[CallersSignals(), *callbacks],
        **options,
    )


def set_aside_later_logs(run: Path, step: int) -> None:
    """Logs of a part that began after ``step``, to which the run goes back, are kept under another name."""
    for kind in ("logs", "tensorboard"):
        for folder in (run / kind).glob("from_step_*"):
            if int(folder.name.removeprefix("from_step_")) > step:
                shutil.rmtree(aside := folder.with_name(f"abandoned_{folder.name}"), ignore_errors=True)
                folder.replace(aside)


def _explain_batch_norm(model: nn.Module, device_batch: int, world_size: int) -> None:
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if normed and world_size == 1 and device_batch < 4:
        warnings.warn(
            f"batch norm sees {device_batch} image(s) at a time (it also sits on queries and mask logits), so its "
            "statistics are noisy: training.device_batch of 4 or more, or several processes, is closer to the paper.",
            stacklevel=2,
        )


def _warn_about_segments(dataset: PanopticDataset, limit: int | None) -> None:
    """Says at once when images have more segments than the model can tell apart."""
    if limit is None:
        return
    counts = dataset.segment_counts()
    over = sum(count > limit for count in counts)
    if over:
        warnings.warn(
            f"{over} of {len(counts)} images have more segments (up to {max(counts)}) than the model has queries "
            f"({limit}): the surplus of an image is treated as void; raise model.num_queries.",
            stacklevel=2,
        )


def _quiet_lightning() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*is deprecated.*", module="lightning")
    warnings.filterwarnings("ignore", message=".*Experiment logs directory.*")
    warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # on purpose, where any are
