"""try_rates(): a short training whose learning rate rises from step to step, to see which rates a run can bear.

The range test of Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3; with rates that
rise geometrically and a smoothed loss, as is usual since.
"""

import math
from dataclasses import dataclass, replace

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback

from pantile.contracts.errors import UserError
from pantile.data import PanopticDataset
from pantile.engine.callbacks import StepProgress
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.config import RunConfig, without_download
from pantile.engine.devices import AUTO
from pantile.engine.loaders import split_batch, training_loader
from pantile.engine.processes import processes
from pantile.engine.task import NonFiniteLoss, PanopticTask
from pantile.engine.telling import on_terminal
from pantile.engine.train import make_trainer
from pantile.engine.transfer import transfer
from pantile.models.backbone_weights import with_named_weights

SMOOTHING = 0.9  # how much of the mean of earlier losses stays at a step
DIVERGED = 4.0  # times the smallest smoothed loss, at which the test ends
FEWEST = 10  # steps before which it does not


@dataclass(frozen=True)
class RateRange:
    """
    Attributes:
        rates: (n,) learning rate of the decoder at each step, rising.
        losses: (n,) loss before each of these steps.
    """

    rates: np.ndarray
    losses: np.ndarray

    @property
    def smoothed(self) -> np.ndarray:
        """(n,) exponential mean of the losses, without the pull of its start."""
        means, mean = [], 0.0
        for count, loss in enumerate(self.losses, start=1):
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            means.append(mean / (1 - SMOOTHING**count))
        return np.array(means)

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was the smallest; beyond it, steps undo what earlier ones did."""
        return float(self.rates[self.smoothed.argmin()])

    @property
    def suggestion(self) -> float | None:
        """A tenth of ``lowest``, which leaves room for a longer run; None where no rate made the loss fall."""
        return self.lowest / 10 if self.smoothed.argmin() > 0 else None


class _RisingRate(Callback):
    """Sets the rate of each step and keeps the losses; ends the training where they leave."""

    def __init__(self, low: float, high: float, steps: int) -> None:
        self.rates = np.geomspace(low, high, steps)
        self.losses: list[list[float]] = []  # of the batches of each step

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, *_: object) -> None:
        step = trainer.global_step
        if step == len(self.losses):
            self.losses.append([])
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * self.rates[step]  # the optimizer was made for the rate 1

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs: dict, *_: object) -> None:
        self.losses[-1].append(outputs["loss"].item())
        found = self.found()
        if trainer.global_step == len(self.losses) >= FEWEST:
            smoothed = found.smoothed
            trainer.should_stop |= bool(smoothed[-1] > DIVERGED * smoothed.min())

    def found(self) -> RateRange:
        losses = np.array([np.mean(batches) for batches in self.losses if batches])
        return RateRange(self.rates[: len(losses)], losses)


def try_rates(
    config: RunConfig,
    training_set: PanopticDataset,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    init: Checkpoint | None = None,
    device: str = AUTO,
) -> RateRange:
    """Trains for at most ``steps`` steps and keeps nothing of the weights.

    Args:
        config: the run that is planned; its batch, its multipliers of the rate and its clipping hold.
        low, high: learning rates of the first and the last step.
        steps: how many there are at most; the test ends where the loss has left.
        init: weights to start from, as in ``train``.
        device: see ``device_named``.

    Raises:
        UserError: a range that is none, several processes, or a loss that is not finite from the start.
    """
    if not (0 < low < high and math.isfinite(high)):
        raise UserError(f"The range {low:g}:{high:g} is none: give 0 < LOW < HIGH, such as 1e-6:1.")
    if steps < FEWEST:
        raise UserError(f"A range test of {steps} steps says nothing: give at least {FEWEST}.")
    if processes().total > 1:
        raise UserError("The range test is for one process: start it without the launcher.")
    if init is not None:
        config = without_download(config)
    optimizer = replace(config.optimizer, learning_rate=1.0)
    training = replace(config.training, steps=steps, log_every=steps, average=None)
    config = replace(config, optimizer=optimizer, training=training, model=with_named_weights(config.model))
    L.seed_everything(config.seed, verbose=False)
    task = PanopticTask(config, training_set.taxonomy)
    if init is not None:
        transfer(task.model, training_set.taxonomy, init.part("model"), init.taxonomy)
    loader = training_loader(training_set, config)
    accumulation = split_batch(config.training, 1)[1]
    rising = _RisingRate(low, high, steps)
    trainer = make_trainer(
        config,
        device=device,
        max_steps=steps,
        accumulate_grad_batches=accumulation,
        gradient_clip_val=config.optimizer.gradient_clip,
        logger=False,
        enable_progress_bar=on_terminal(),
        callbacks=[rising, *([StepProgress(steps * accumulation)] if on_terminal() else [])],
    )
    try:
        trainer.fit(task, loader)
    except NonFiniteLoss as error:
        if len(rising.found().losses) < FEWEST:
            raise UserError(
                f"The range test ended after {len(rising.found().losses)} steps, as the loss was not finite: begin at "
                f"a rate below {low:g}."
            ) from error
    finally:
        loader.close()
    return rising.found()
