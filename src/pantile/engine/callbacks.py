"""What our trainers need beside Lightning's own: a bar that knows the run's length, and the caller's signals."""

import signal
import threading
from collections.abc import Callable

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from pantile.contracts.percent import percent
from pantile.engine.task import PanopticTask

IN_PERCENT = {"PQ", "mIoU"}


class CallersSignals(Callback):
    """SIGTERM stays with whoever answered it when this was made. Lightning's own answer ends a training with exit code
    0, and sends messages between processes in the midst of others."""

    def __init__(self) -> None:
        self.handler: Callable | int | None = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: object) -> None:
        self._take_back()

    def on_validation_start(self, *_: object) -> None:
        self._take_back()

    def _take_back(self) -> None:
        if self.handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


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
        for name in IN_PERCENT & shown.keys():  # with their unit, or the bar would pad them with zeros
            shown[name] = f"{percent(shown[name])} %"
        return shown
