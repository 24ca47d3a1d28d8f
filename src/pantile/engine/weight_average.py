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
        live = self._live()
        start = {name: tensor.detach() for name, tensor in live.items()} if state is None else state
        self._average = {name: start[name].clone().to(live[name].device) for name in live}

    def _live(self) -> dict[str, Tensor]:
        """The tensors that the task holds now, each under the first of its names."""
        state = self._task.state_dict(keep_vars=True)
        named = {name: tensor for name, tensor in state.items() if name.startswith(PARTS)}
        first = {id(tensor): name for name, tensor in reversed(named.items())}
        return {name: tensor for name, tensor in named.items() if first[id(tensor)] == name}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after optimizer step ``step`` (1 is the first)."""
        config = self._config
        decay = min(config.decay, (1 + step) / (10 + step)) if config.warmup else config.decay
        live = self._live()
        smooth = [name for name, tensor in live.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self._average[n] for n in smooth], [live[n].detach() for n in smooth], 1 - decay)
        for name, tensor in live.items():
            if not tensor.is_floating_point():
                self._average[name].copy_(tensor)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the task's weights are the average. Nothing is copied, and afterwards they are what they were."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, tensor in self._live().items():
            tensor.data, self._average[name] = self._average[name], tensor.data

    def state_dict(self) -> dict[str, Tensor]:
        """The average under the first names of its tensors."""
        return dict(self._average)


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
