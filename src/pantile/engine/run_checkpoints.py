"""What a run saves while it trains: the checkpoint to resume from, the best weights and the last ones."""

import math
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from pantile.contracts.interruption import Interrupted, Wish
from pantile.engine.checkpoint import AVERAGE, LAST, LAST_AVERAGE, LAST_WEIGHTS, WEIGHTS, save_weights
from pantile.engine.checkpoint_files import clear_leftovers
from pantile.engine.task import PanopticTask


@dataclass
class Measured:
    """What the validations of one kind of weights gave.

    Attributes:
        prefix: of their metrics in the log, behind ``val/``.
        best_file, last_file: names in the run folder.
        averaged: they are the average of the weights.
        best: the largest value; -inf for none but NaN, None before the first validation.
        best_step: the validation that gave it.
        value: of the newest validation; None where it is not a number.
    """

    prefix: str
    best_file: str
    last_file: str
    averaged: bool
    best: float | None = None
    best_step: int | None = None
    value: float | None = None

    def take(self, value: float, step: int) -> tuple[bool, bool]:
        """Whether a validation is the best, of equal ones the later, and whether it is better than any before."""
        self.value = value if math.isfinite(value) else None
        rank, before = _rank(self.value), self.best
        if before is not None and rank < before:
            return False, False
        self.best, self.best_step = rank, step
        return True, before is None or rank > before


class RunCheckpoints(Callback):
    """Keeps ``checkpoints/last.ckpt`` to resume from, ``weights.safetensors`` and ``last.safetensors``, and the same
    two of the average of the weights where there is one.

    A checkpoint is written at step 0, every few minutes, before and after each validation, when somebody wants the
    process to end, and at the end; always between two optimizer steps, when the log has the rows of all steps before.
    It says which validation was the last, so that a resumed run repeats one that was cut off.

    Args:
        run: the run folder.
        minutes: between checkpoints.
        metric: of the validations, "pq" for ``val/pq``; the largest gives the best weights, the later one on ties. What
            is not a number is less than any.
        validates: whether there is anything to validate on; without, the best weights are the last ones.
        wish: whether somebody wants the process to end; training stops after the step that it is at.
        average: whether the task keeps an average of its weights.
        patience: validations in a row without a better one, of the weights or of their average, after which the run
            ends; None for never.

    Attributes:
        measured: what validations gave of the weights, and of their average where there is one.
    """

    def __init__(
        self,
        run: Path,
        minutes: float,
        metric: str = "pq",
        validates: bool = True,
        wish: Wish | None = None,
        average: bool = False,
        patience: int | None = None,
    ) -> None:
        self.run = run
        self.seconds = minutes * 60
        self.metric = metric
        self.validates = validates
        self.wish = wish or Wish("")
        self.patience = patience
        self.measured = [Measured("", WEIGHTS, LAST_WEIGHTS, averaged=False)]
        if average:
            self.measured.append(Measured("ema_", AVERAGE, LAST_AVERAGE, averaged=True))
        self.validated: int | None = None  # the step of the newest validation
        self.stale = 0  # validations in a row that were not better
        self.saved: int | None = None  # the step of last.ckpt
        self.saved_at = time.monotonic()

    def state_dict(self) -> dict:
        known = {f"{m.prefix}{n}": getattr(m, n) for m in self.measured for n in ("best", "best_step", "value")}
        return known | {"metric": self.metric, "validated": self.validated, "stale": self.stale}

    def load_state_dict(self, state_dict: dict) -> None:
        self.validated = state_dict.get("validated")
        if state_dict.get("metric", "pq") == self.metric:  # values of two metrics cannot be compared
            self.stale = state_dict.get("stale", 0)
            for measured in self.measured:
                for name in ("best", "best_step", "value"):
                    setattr(measured, name, state_dict.get(f"{measured.prefix}{name}"))

    def on_save_checkpoint(self, trainer: L.Trainer, task: PanopticTask, checkpoint: dict) -> None:
        value = self.measured[0].value if self.validated == trainer.global_step else None
        checkpoint.setdefault("pantile", {}).update(metric=self.metric, value=value)
        _between_steps(checkpoint["loops"]["fit_loop"], trainer)

    def on_train_start(self, trainer: L.Trainer, task: PanopticTask) -> None:
        if trainer.is_global_zero:
            clear_leftovers(self.run)
        if trainer.global_step == 0:
            self._save(trainer)
        self.saved = trainer.global_step
        if self._cut_off(trainer):
            loop = trainer.fit_loop.epoch_loop.val_loop
            loop.restarting = False
            trainer.validating = True
            loop.run()
            trainer.training = True
        self._lose_patience(trainer)

    def on_train_batch_start(self, trainer: L.Trainer, task: PanopticTask, *_: object) -> None:
        # Lightning counts the rows of the log itself, and not in the same way after a restart
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        if task.global_batch % trainer.accumulate_grad_batches:
            return
        due = trainer.strategy.broadcast(time.monotonic() - self.saved_at > self.seconds)
        stop = trainer.strategy.reduce_boolean_decision(self.wish.number is not None, all=False)
        if (due or stop) and self.saved != trainer.global_step:
            self._save(trainer)
        if stop:
            self.stop(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, task: PanopticTask, *_: object) -> None:
        if trainer.global_step >= trainer.max_steps:  # validated whatever the rhythm
            trainer.val_check_batch = task.global_batch + 1

    def on_validation_start(self, trainer: L.Trainer, task: PanopticTask) -> None:
        trainer.fit_loop.epoch_loop._batches_that_stepped = max(0, trainer.global_step - 1)  # the row of that step
        if self.saved != trainer.global_step:
            self._save(trainer)

    def on_validation_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        if self.wish.number is not None:  # the checkpoint of this step is there; processes need not agree
            self.stop(trainer)

    def on_validation_end(self, trainer: L.Trainer, task: PanopticTask) -> None:
        self.validated, any_better = trainer.global_step, False
        for measured in self.measured:
            value = trainer.callback_metrics[f"val/{measured.prefix}{self.metric}"].item()
            best, better = measured.take(value, trainer.global_step)
            any_better |= better
            self._save_weights(measured, best, trainer, task)
        self.stale = 0 if any_better else self.stale + 1
        self._save(trainer)
        self._lose_patience(trainer)

    @property
    def out_of_patience(self) -> bool:
        return self.patience is not None and self.stale >= self.patience

    def _lose_patience(self, trainer: L.Trainer) -> None:
        if self.out_of_patience and trainer.global_step < trainer.max_steps:
            trainer.should_stop = True

    def finish(self, trainer: L.Trainer, task: PanopticTask) -> None:
        """The last weights of a run without validation."""
        if not self.validates:
            self.validated = None
            for measured in self.measured:
                measured.value = None
                self._save_weights(measured, True, trainer, task)
            self._save(trainer)

    def stop(self, trainer: L.Trainer) -> None:
        """
        Raises:
            Interrupted: always; the checkpoint is there.
        """
        if trainer.is_global_zero:
            step, steps = trainer.global_step, trainer.max_steps
            whole = step >= steps and not self.pending(step)
            rest = f"{self.run} is complete." if whole else f"`pantile train --resume --out {self.run}` goes on there."
            print(
                f"\npantile: stopped after step {step} of {steps}, saved in {self.run / LAST}; {rest}", file=sys.stderr
            )
        raise Interrupted(self.wish.number or signal.SIGTERM, told=True)

    def pending(self, step: int) -> bool:
        """Whether the validation that belongs to ``step`` never ended."""
        return self.validates and self.validated != step

    def _cut_off(self, trainer: L.Trainer) -> bool:
        """Whether the run resumes in the midst of a validation."""
        batches = trainer.global_step * trainer.accumulate_grad_batches
        due = batches > 0 and batches % trainer.val_check_batch == 0
        return due and self.pending(trainer.global_step)

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.run / LAST)
        self.saved, self.saved_at = trainer.global_step, time.monotonic()

    def _save_weights(self, measured: Measured, best: bool, trainer: L.Trainer, task: PanopticTask) -> None:
        state = task.average.saved_state() if measured.averaged else trainer.strategy.lightning_module_state_dict()
        if trainer.is_global_zero:
            state = {k: v for k, v in state.items() if k.startswith(("model.", "techniques."))}
            value = (self.metric, measured.value)
            for name in ((measured.best_file,) if best else ()) + (measured.last_file,):
                save_weights(self.run / name, state, task.config, task.taxonomy, trainer.global_step, value)


def _rank(value: float | None) -> float:
    return -math.inf if value is None else value


def _between_steps(loops: dict, trainer: L.Trainer) -> None:
    """Makes Lightning's counters say that whole steps are done, nothing more is begun, and the stream goes on. Its own
    depend on the hook that saves, and a restart takes different ways after each."""
    batches = trainer.global_step * trainer.accumulate_grad_batches
    done = dict.fromkeys(("ready", "started", "processed", "completed"), batches)
    loops["epoch_loop.batch_progress"] |= {"total": done, "current": dict(done)}
    started = int(batches > 0)
    epoch = {"ready": started, "started": started, "processed": 0, "completed": 0}
    loops["epoch_progress"] |= {"total": epoch, "current": dict(epoch)}
