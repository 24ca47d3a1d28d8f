"""Round trips: a run of two steps, and every verb that opens what it left."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pantile.cli.report import report_run
from pantile.contracts.outputs import ModelOutput
from pantile.engine.checkpoint import LAST, LAST_WEIGHTS, load_checkpoint, save_weights
from pantile.engine.config import RunConfig, TrainingConfig
from pantile.engine.evaluate import evaluate, load_task
from pantile.engine.run_cost import run_cost
from pantile.engine.run_record import RunRecord
from pantile.engine.task import PanopticTask
from pantile.engine.train import train
from pantile.engine.transfer import check_share, transfer
from pantile.model_check.finding import expecting, findings_of
from pantile.model_check.subject import THINGS, Subject, taxonomy_of
from pantile.model_check.tensors import different
from pantile.predict import load

SIDE = 65
#: generated, with the labels that a run's report evaluates on
RECORD = RunRecord("scenes:2", versions="check_model")
#: the same for what trains on clips
VIDEO_RECORD = RunRecord("video-scenes:2,frames=3,size=65", versions="check_model")


def record_for(subject: Subject) -> RunRecord:
    """Images, or videos where the recipe asks for clips."""
    return RECORD if subject.run.augment.clip is None else VIDEO_RECORD


def short_run(config: RunConfig) -> RunConfig:
    """Two steps of two small crops, and a validation."""
    training = TrainingConfig(steps=2, effective_batch=2, workers=0, precision="fp32", validate_every=1.0, log_every=1)
    return replace(
        config,
        augment=replace(config.augment, crop=(SIDE, SIDE), pairs=None),
        training=replace(training, validation_images=1),
        evaluation_size=(SIDE, SIDE),
    )


class KeepOutput(Callback):
    """What the trained model says of ``images`` at the end, in eval mode."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.output: ModelOutput | None = None

    @torch.no_grad()
    def on_fit_end(self, trainer: L.Trainer, task: PanopticTask) -> None:
        self.output = task.eval().output_of(self.images)


@torch.no_grad()
def it_trains_and_its_files_open(subject: Subject, run: Path) -> Iterator[str]:
    """Two rounds of saving and opening, from both kinds of file that a run leaves."""
    record = record_for(subject)
    training_set, validation_set = record.datasets()
    keep = KeepOutput(subject.images(2))
    with expecting("train fails", "mend what the error names"):
        train(short_run(subject.run), training_set, validation_set, run, record=record, callbacks=[keep])
    again = run.with_name("again.safetensors")
    with expecting("what training saved cannot be opened", "mend what the error names"):
        checkpoint = load_checkpoint(run / LAST)
        save_weights(again, checkpoint.state, checkpoint.config, checkpoint.taxonomy, step=2)
        opened = [load_task(load_checkpoint(path)).output_of(keep.images) for path in (run / LAST_WEIGHTS, again)]
    for output in opened:
        if names := different(keep.output, output, tolerance=1e-3):
            yield (
                f"output{names[0]} of the trained model is another after it was saved and opened: make every tensor "
                "that training changes a parameter or a persistent buffer."
            )
            return


def eval_works(subject: Subject, run: Path) -> None:
    with expecting("eval fails", "mend what the error names"):
        evaluate(load_checkpoint(run), record_for(subject).datasets()[1], limit=1)


def predict_works(subject: Subject, run: Path) -> Iterator[str]:
    image = record_for(subject).datasets()[1].load_image(0)
    with expecting("predict fails", "mend what the error names"):
        predictor = load(run, device="cpu")
        result = predictor(image)
        repr(predictor)
    if result.map.shape != image.shape[:2]:
        yield f"predict gives a map of {result.map.shape} for an image of {image.shape[:2]}: mend the merge."


def report_works(subject: Subject, run: Path) -> None:
    with expecting("report fails", "mend what the error names"):
        report_run(run, limit=1, images=1)


def models_info_works(subject: Subject, run: Path) -> None:
    with expecting("models info fails", "mend what the error names"):
        run_cost(replace(subject.run, model=subject.config), list(THINGS), (SIDE, SIDE))


def other_classes_can_start_from_it(subject: Subject, run: Path) -> None:
    """What ``pantile train --init`` does."""
    with expecting("train --init fails", "mend class_heads() and query_embeddings()"):
        checkpoint = load_checkpoint(run)
        model = subject.model(things=(*THINGS, True))
        report = transfer(model, taxonomy_of((*THINGS, True)), checkpoint.part("model"), checkpoint.taxonomy)
        check_share(report, 0.5, "a run of the same model with one class less")


#: what else opens the run that ``it_trains_and_its_files_open`` leaves
ROUND_TRIPS: tuple[Callable[[Subject, Path], Iterable[str] | None], ...] = (
    eval_works,
    predict_works,
    report_works,
    models_info_works,
    other_classes_can_start_from_it,
)


def findings_of_round_trips(subject: Subject) -> list[str]:
    """In a temporary folder, without a word on the terminal and without a trace in torch's random numbers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        run = Path(folder) / "run"
        sentences = findings_of(partial(it_trains_and_its_files_open, run=run), subject)
        for trip in () if sentences else ROUND_TRIPS:
            sentences += findings_of(partial(trip, run=run), subject)
    return sentences
