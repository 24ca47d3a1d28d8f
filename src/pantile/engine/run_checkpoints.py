"""What a run saves while it trains: the checkpoint to resume from, the best weights and the last ones."""

import math
import signal
import sys
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from pantile.contracts.interruption import Interrupted, Wish
from pantile.engine.checkpoint import LAST, LAST_WEIGHTS, WEIGHTS, save_weights
from pantile.engine.checkpoint_files import clear_leftovers
from pantile.engine.task import PanopticTask


class RunCheckpoints(Callback):
    """Keeps ``checkpoints/last.ckpt`` to resume from, ``weights.safetensors`` and ``last.safetensors``.

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
    """

    def __init__(
        self, run: Path, minutes: float, metric: str = "pq", validates: bool = True, wish: Wish | None = None
    ) -> None:
        self.run = run
        self.seconds = minutes * 60
        self.metric = metric
        self.validates = validates
        self.wish = wish or Wish("")
        self.best: float | None = None  # None before the first validation
        self.validated: int | None = None  # the step of the newest validation
        self.value: float | None = None  # what that one gave
        self.saved: int | None = None  # the step of last.ckpt
        self.saved_at = time.monotonic()

    def state_dict(self) -> dict:
        return {"best": self.best, "metric": self.metric, "validated": self.validated, "value": self.value}

    def load_state_dict(self, state_dict: dict) -> None:
        self.validated = state_dict.get("validated")
        if state_dict.get("metric", "pq") == self.metric:  # values of two metrics cannot be compared
            self.best, self.value = state_dict["best"], state_dict.get("value")

    def on_save_checkpoint(self, trainer: L.Trainer, task: PanopticTask, checkpoint: dict) -> None:
        value = self.value if self.validated == trainer.global_step else None
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
        value = trainer.callback_metrics[f"val/{self.metric}"].item()
        self.validated, self.value = trainer.global_step, value if math.isfinite(value) else None
        if self.best is None or _rank(self.value) >= _rank(self.best):
            self.best = -math.inf if self.value is None else self.value
            self._save_weights(WEIGHTS, trainer, task)
        self._save_weights(LAST_WEIGHTS, trainer, task)
        self._save(trainer)

    def finish(self, trainer: L.Trainer, task: PanopticTask) -> None:
        """The last weights of a run without validation."""
        if not self.validates:
            self.validated = self.value = None
            for name in (WEIGHTS, LAST_WEIGHTS):
                self._save_weights(name, trainer, task)
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

    def _save_weights(self, name: str, trainer: L.Trainer, task: PanopticTask) -> None:
        if trainer.is_global_zero:
            state = {k: v for k, v in task.state_dict().items() if k.startswith(("model.", "techniques."))}
            measured = (self.metric, self.value)
            save_weights(self.run / name, state, task.config, task.taxonomy, trainer.global_step, measured)


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
