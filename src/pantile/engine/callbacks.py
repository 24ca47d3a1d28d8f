"""Checkpoints that survive any interruption, and a progress bar that knows the length of the run."""

import math
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from pantile.contracts.percent import percent
from pantile.engine.checkpoint import LAST, WEIGHTS, save_weights
from pantile.engine.task import PanopticTask


class RunCheckpoints(Callback):
    """Keeps ``checkpoints/last.ckpt`` to resume from and ``weights.safetensors`` of the best validation.

    A checkpoint is written at step 0, every few minutes, at each validation, at SIGTERM and at the end, always after
    a whole optimizer step and always through a temporary file, so that one is there whenever the process dies.
    """

    def __init__(self, run: Path, minutes: float) -> None:
        self.run = run
        self.seconds = minutes * 60
        self.best = -math.inf
        self.saved_at = time.monotonic()

    def state_dict(self) -> dict:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict) -> None:
        self.best = state_dict["best"]

    def on_train_start(self, trainer: L.Trainer, task: PanopticTask) -> None:
        if trainer.global_step == 0:
            self._save(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, task: PanopticTask, *_: object) -> None:
        whole_step = (task.global_batch + 1) % trainer.accumulate_grad_batches == 0
        due = time.monotonic() - self.saved_at > self.seconds
        if whole_step and trainer.strategy.broadcast(due or trainer.received_sigterm):
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, task: PanopticTask) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        quality = trainer.callback_metrics["val/pq"].item()
        if quality > self.best or self.best == -math.inf:
            self.best = quality if math.isfinite(quality) else self.best
            self._save_weights(trainer, task)
        self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, task: PanopticTask) -> None:
        if not trainer.received_sigterm:
            self._save(trainer)
        if not (self.run / WEIGHTS).exists():
            self._save_weights(trainer, task)

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.run / LAST)  # Lightning writes to a temporary file and renames
        self.saved_at = time.monotonic()

    def _save_weights(self, trainer: L.Trainer, task: PanopticTask) -> None:
        if trainer.is_global_zero:
            state = {k: v for k, v in task.state_dict().items() if k.startswith(("model.", "techniques."))}
            save_weights(self.run / WEIGHTS, state, task.config, task.taxonomy, trainer.global_step)


class StepProgress(TQDMProgressBar):
    """Counts towards the run's last step; the loader itself is endless."""

    def __init__(self, batches: int) -> None:
        super().__init__(refresh_rate=5)
        self.batches = batches

    @property
    def total_train_batches(self) -> int:
        return self.batches

    def on_train_start(self, trainer: L.Trainer, task: PanopticTask) -> None:
        super().on_train_start(trainer, task)
        self.train_progress_bar.total = self.batches  # a resumed run starts no epoch
        self.train_progress_bar.set_description("step")

    def on_train_epoch_start(self, trainer: L.Trainer, *arguments: object) -> None:
        super().on_train_epoch_start(trainer, *arguments)
        self.train_progress_bar.set_description("step")

    def get_metrics(self, trainer: L.Trainer, task: PanopticTask) -> dict:
        shown = {name: value for name, value in super().get_metrics(trainer, task).items() if name != "v_num"}
        if "PQ" in shown:  # with its unit, or the bar would pad it with zeros
            shown["PQ"] = f"{percent(shown['PQ'])} %"
        return shown
