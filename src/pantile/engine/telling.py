"""What a training tells while it runs and at its end, beside the bar: plain lines, a warning at PQ 0, a last table."""

import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich import box
from rich.table import Table

from pantile.contracts.percent import percent
from pantile.engine.checkpoint import metric_title
from pantile.engine.config import TrainingConfig
from pantile.engine.run_checkpoints import RunCheckpoints
from pantile.engine.task import decoder_rate


class LogLines(Callback):
    """Lines on stderr in place of a bar, for files and pipes: of steps now and then, of every validation.

    Args:
        metric: of validations, such as "pq".
        seconds: between two lines of steps; the first row of the log and the last step have theirs whenever they come.
    """

    def __init__(self, metric: str, seconds: float = 30.0) -> None:
        self.metric = metric
        self.seconds = seconds
        self.begun: tuple[float, int] = (0.0, 0)  # when, and after which step
        self.told: float | None = None
        self.step = 0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.step = trainer.global_step
        self.begun = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: object) -> None:
        step, now = trainer.global_step, time.monotonic()
        begun_at, begun_after = self.begun
        if step == self.step or not trainer.is_global_zero:  # the same: a batch of several that make a step
            return
        self.step = step
        recent = self.told is not None and now - self.told < self.seconds
        if step < trainer.max_steps and (recent or step % trainer.log_every_n_steps):
            return
        self.told = now
        rate = (step - begun_after) / max(now - begun_at, 1e-9)
        left = timedelta(seconds=round((trainer.max_steps - step) / rate))
        loss, learning_rate = trainer.callback_metrics["loss"].item(), decoder_rate(trainer.optimizers[0])
        print(
            f"step {step} of {trainer.max_steps}: loss {loss:.4g}, learning rate {learning_rate:.3g}, "
            f"{rate:.3g} steps/s, {left} left",
            file=sys.stderr,
        )

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        kinds = {"": "", "ema_": " of the average of the weights"}
        metrics, title = trainer.callback_metrics, metric_title(self.metric)
        named = {kind: f"val/{prefix}{self.metric}" for prefix, kind in kinds.items()}
        told = [f"{title}{k} {percent(metrics[name].item())} %" for k, name in named.items() if name in metrics]
        print(f"validation after step {trainer.global_step}: {', '.join(told)}", file=sys.stderr)


class ZeroWarning(Callback):
    """Says once, when a quarter of the run is over, that validations still find nothing right, and what may help.

    Args:
        metric: of validations, such as "pq".
        training: the length of the run and its batch.
        images: in the training set.
        run: the run folder.
    """

    def __init__(self, metric: str, training: TrainingConfig, images: int, run: Path) -> None:
        self.metric, self.training, self.images, self.run = metric, training, images, run
        self.told = False

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        step = trainer.global_step
        zero = trainer.callback_metrics[f"val/{self.metric}"].item() == 0
        if not zero or self.told or not trainer.is_global_zero or step < self.training.steps / 4:
            return
        self.told = True
        seen = step * self.training.effective_batch
        warnings.warn(
            f"{metric_title(self.metric)} is still 0 after {step} steps ({seen:,} images, the training set "
            f"{seen / self.images:.1f} times). What usually helps: more steps, as a network that starts from random "
            "numbers finds its first segments after some hundreds or thousands, long after its loss began to fall "
            f"(`pantile report {self.run}` draws it); starting from trained weights with --init; a look at the labels "
            "with `pantile data check`; and to see whether it can learn at all, a run on few images that validates on "
            "them: --limit 4 --val-split train --set training.validation_images=4.",
            stacklevel=2,
        )


def closing_table(keeper: RunCheckpoints, run: Path, step: int, steps: int, seconds: float) -> Table:
    """What a run ends with: its files of weights, with the step that each is of and how good that was.

    Args:
        keeper: of the run, after its end.
        step: the last one that was made, of ``steps`` that were planned.
        seconds: since the run, or its newest part, was started.
    """
    early = (
        f"; it ended early, as {keeper.stale} validations in a row were not better" if keeper.out_of_patience else ""
    )
    table = Table(
        title=f"{run}: {step} of {steps} steps in {timedelta(seconds=round(seconds))}{early}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("weights")
    for column in ("step", f"{metric_title(keeper.metric)} (%)"):
        table.add_column(column, justify="right")
    table.add_column("file")
    for measured in keeper.measured:
        kind = "average, " if measured.averaged else ""
        best_step = step if measured.best is None else measured.best_step
        table.add_row(f"{kind}best", _number(best_step), percent(measured.best), measured.best_file)
        newest = keeper.validated if keeper.validates else step
        table.add_row(f"{kind}last", _number(newest), percent(measured.value), measured.last_file)
    return table


def on_terminal() -> bool:
    """Whether a bar, which goes to stdout, is seen by a person."""
    return sys.stdout is not None and sys.stdout.isatty()


def _number(step: int | None) -> str:
    return "-" if step is None else str(step)
