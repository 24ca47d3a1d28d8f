"""An exponential moving average of the weights: a second network, which costs no gradient, measured beside the first.

Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; with a decay, as TensorFlow's
``ExponentialMovingAverage`` has it. ``engine/config.py`` has the settings, docs/runs.md what becomes of the files.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from pantile.engine.config import AverageConfig
from pantile.engine.shards import gathered, gathered_on_first, part_here, part_of

#: the modules of a task whose weights are saved, and averaged
PARTS = ("model.", "techniques.")


class WeightAverage:
    """The average of what ``PARTS`` of a task hold in their state.

    Optimizer step n makes it ``d * average + (1 - d) * weights`` with ``d = min(decay, (1 + n) / (10 + n))``, without
    ``warmup`` with d = decay; before the first step it is the weights. Floating buffers, which are the running
    statistics of batch norms, are averaged like parameters, as they belong to the weights that made them; whole numbers
    are copied. It is a function of the weights alone: processes that share gradients and statistics hold the
    same average without a message, and steps of gradient accumulation count once.

    Args:
        task: a module with the parts; what it holds now is the start.
        config: decay and warm-up.
        state: what ``state_dict`` gave, to go on from there.
    """

    def __init__(self, task: nn.Module, config: AverageConfig, state: Mapping[str, Tensor] | None = None) -> None:
        self._task = task
        self._config = config
        saved = {n: tensor for n, tensor in task.state_dict(keep_vars=True).items() if n.startswith(PARTS)}
        first = {id(tensor): name for name, tensor in reversed(saved.items())}
        self._first = {name: first[id(tensor)] for name, tensor in saved.items()}
        live = self._live()
        start = live if state is None else {name: part_of(state[name], live[name]) for name in live}
        self._average = {name: start[name].detach().clone().to(live[name].device) for name in live}
        self._shown = self._average

    def _live(self) -> dict[str, Tensor]:
        """The tensors that the task holds now, each under the first of its names."""
        tensors = dict(self._task.named_parameters()) | dict(self._task.named_buffers())
        return {name: tensors[name] for name in dict.fromkeys(self._first.values())}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after optimizer step ``step`` (1 is the first)."""
        config = self._config
        decay = min(config.decay, (1 + step) / (10 + step)) if config.warmup else config.decay
        live = self._live()
        smooth = [name for name, tensor in live.items() if tensor.is_floating_point()]
        averages, weights = ([part_here(tensors[name]) for name in smooth] for tensors in (self._average, live))
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for name, tensor in live.items():
            if not tensor.is_floating_point():
                self._average[name].copy_(tensor)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the task's weights are the average. Nothing is copied, and afterwards they are what they were.
        Where processes hold parts, between ``gather`` and ``release`` only."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, tensor in self._live().items():
            tensor.data, self._shown[name] = self._shown[name], tensor.data

    def gather(self) -> None:
        """Puts the average together, as ``applied`` needs it where the task's weights are put together. Every process
        has to ask, as for ``state_dict`` and ``saved_state``."""
        self._shown = {name: gathered(tensor) for name, tensor in self._average.items()}

    def release(self) -> None:
        """Gives up what ``gather`` made."""
        self._shown = self._average

    def state_dict(self) -> dict[str, Tensor]:
        """The average under the first names of its tensors; of parts the whole, on the first process."""
        return {name: gathered_on_first(tensor) for name, tensor in self._average.items()}

    def saved_state(self) -> dict[str, Tensor]:
        """The same under every name that the task saves."""
        whole = self.state_dict()
        return {name: whole[first] for name, first in self._first.items()}


class AverageWeights(Callback):
    """Keeps ``task.average`` up to date; in a checkpoint, it is the state of this callback."""

    def __init__(self, config: AverageConfig) -> None:
        self.config = config
        self.updated = 0  # optimizer steps that are in the average
        self._restored: Mapping[str, Tensor] | None = None
        self._average: WeightAverage | None = None

    def state_dict(self) -> dict:
        return {"updated": self.updated, "weights": self._average.state_dict() if self._average else {}}

    def load_state_dict(self, state_dict: dict) -> None:
        self.updated, self._restored = state_dict["updated"], state_dict["weights"]

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._average = task.average = WeightAverage(task, self.config, self._restored)
        self._restored = None

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: object) -> None:
        if trainer.global_step > self.updated:
            self.updated = trainer.global_step
            self._average.update(self.updated)
