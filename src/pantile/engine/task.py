"""PanopticTask: one training step and one validation step of any model with any techniques, for Lightning."""

from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor, optim

from pantile.contracts.outputs import ModelOutput
from pantile.contracts.predictions import Prediction
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import Taxonomy
from pantile.data import EvaluationBatch
from pantile.engine.compiling import as_it_is
from pantile.engine.config import RunConfig, to_dict
from pantile.engine.measures import main_metric, per_class, validation_tasks
from pantile.engine.meters import Meters
from pantile.engine.optimizer import learning_rate_factor, make_optimizer
from pantile.engine.sharding import shard
from pantile.engine.weight_average import WeightAverage
from pantile.inference.clip_windows import ClipWindows
from pantile.inference.images import predict_batch, predict_image
from pantile.inference.network import Network, normalise
from pantile.inference.tiles import Tiling
from pantile.inference.views import Views
from pantile.losses import CriterionResult
from pantile.losses.registry import create_criterion
from pantile.models import create_model
from pantile.models.backbone_weights import without_start
from pantile.models.freezing import freeze, rest
from pantile.models.gradient_checkpointing import checkpoint_blocks
from pantile.models.registry import model_from_fields
from pantile.techniques import build_techniques
from pantile.techniques.base import run_model
from pantile.techniques.ground_truth import ground_truth_shown
from pantile.techniques.training_losses import clips_for, losses_of


class NonFiniteLoss(FloatingPointError):
    """Training cannot go on: a loss term is not a number."""


class PanopticTask(L.LightningModule):
    """Model, techniques, criterion, merge and metric of one run.

    Args:
        config: the resolved run.
        taxonomy: of the training data; decides all class counts.
        filled: all weights come from a checkpoint, so those that the backbone started from are not read.
    """

    def __init__(self, config: RunConfig, taxonomy: Taxonomy, filled: bool = False) -> None:
        super().__init__()
        self.config = config
        self.taxonomy = taxonomy
        start = without_start(config.model) if filled else config.model
        self.model = create_model(start, taxonomy.num_classes, [c.is_thing for c in taxonomy.classes])
        self.techniques = build_techniques(config.techniques, self.model, taxonomy, model_from_fields)
        freeze(self.model, config.optimizer.frozen)
        if config.training.gradient_checkpointing:
            checkpoint_blocks(self.model, self.techniques)
        self.criterion = create_criterion(config.criterion, taxonomy)
        self.meters, self.average_meters = (
            Meters(taxonomy, validation_tasks(config), not per_class(config), main_metric(config)) for _ in range(2)
        )
        self.average: WeightAverage | None = None  # where the run keeps one, it is validated beside the weights
        self.views = Views()  # what a validation averages over
        self.tiling: Tiling | None = None  # set: batches hold images at their own size, cut into tiles here
        self.register_buffer("mean", torch.tensor(config.model.image_mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.model.image_std)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> "PanopticTask":
        super().train(mode)
        rest(self.model, self.config.optimizer.frozen)
        return self

    def forward(self, images: Tensor, padding: Tensor | None = None, **options: bool | int) -> ModelOutput:
        """Images as ``network_input`` takes them -> what merge takes. ``options`` go to the model."""
        return self.output_of(self.network_input(images, padding), **options)

    def network_input(self, images: Tensor, padding: Tensor | None) -> Tensor:
        """What the model sees; see ``normalise``."""
        return normalise(images, padding, self.mean, self.std, self.config.pad_value)

    def output_of(self, network_input: Tensor, **options: bool | int) -> ModelOutput:
        """Model and techniques on what ``network_input`` gave, at this or another size."""
        return run_model(self.model, self.techniques.values(), network_input, **options)

    @property
    def network(self) -> Network:
        """What inference needs, on the device where the task is now."""
        config = self.config
        return Network(
            self.output_of,
            self.mean,
            self.std,
            self.taxonomy,
            config.evaluation_size,
            config.merge,
            config.windows,
            config.pad_value,
            (config.clips or ClipWindows()) if getattr(self.model, "reads_clips", False) else None,
        )

    def training_step(self, batch: tuple[Tensor, PanopticTargets], batch_idx: int) -> Tensor:
        images, targets = batch
        try:
            losses, diagnostics = self.losses(images, targets)
        except FloatingPointError as error:  # outputs that cannot even be matched
            raise NonFiniteLoss(self._explain_non_finite(str(error), targets)) from error
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            broken = [f"{name} = {value.item():g}" for name, value in losses.items() if not torch.isfinite(value)]
            raise NonFiniteLoss(self._explain_non_finite(", ".join(broken), targets))
        self._log_step(losses, diagnostics, total)
        return total

    def _log_step(self, losses: dict[str, Tensor], diagnostics: dict[str, Tensor], total: Tensor) -> None:
        """Means over processes, only at steps whose row is written: each value is a message between processes."""
        self.log("loss", total.detach(), prog_bar=True, logger=False)
        if (self.global_step + 1) % self.config.training.log_every:
            return
        shown = {f"train/{name}": value.detach() for name, value in losses.items()}
        shown |= diagnostics | {"train/loss": total.detach()}
        self.log_dict(shown, sync_dist=self.trainer.world_size > 1)
        self.log("lr", decoder_rate(self.trainer.optimizers[0]))

    def losses(self, images: Tensor, targets: PanopticTargets) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """All named loss terms, weights applied, and what is only logged."""
        targets, clips = clips_for(self.model, targets)
        with ground_truth_shown(self.techniques.values(), targets):
            output = self(images, targets.padding, **clips)
        losses, result = losses_of(output, self.techniques, self.criterion, targets)
        return losses, _diagnostics(result)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # Every random number of a step follows from (seed, step, rank), so a resumed run repeats the original's.
        generator = torch.Generator().manual_seed(self.config.seed)
        offset = torch.randint(2**40, (), generator=generator).item()
        torch.manual_seed(offset + self.global_batch * max(1, self.trainer.world_size) + self.global_rank)
        self.model.set_progress(self.global_step / self.config.training.steps)

    @property
    def global_batch(self) -> int:
        """Micro-batches of this process since the start of the run, over resumes."""
        return self.trainer.fit_loop.epoch_loop.total_batch_idx

    def on_validation_epoch_start(self) -> None:
        self.meters.reset()
        self.average_meters.reset()

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> None:
        eager = as_it_is(self.config.training.compile)
        with eager, ground_truth_shown(self.techniques.values(), batch.panoptic):
            predictions = self.infer(batch)
            self.meters.update(predictions, batch.panoptic, batch.indices)
            if self.average is not None:
                with self.average.applied():
                    predictions = self.infer(batch)
                self.average_meters.update(predictions, batch.panoptic, batch.indices)

    def infer(self, batch: EvaluationBatch) -> list[Prediction]:
        """What the model says of each image of a batch, averaged over views, in tiles where ``tiling`` is set."""
        network, tasks = self.network, self.meters.tasks
        if self.tiling is not None:
            return [predict_image(network, image, self.views, self.tiling, tasks) for image in batch.images]
        return predict_batch(network, batch.images, batch.placements, self.views, tasks)

    def on_validation_epoch_end(self) -> None:
        shown, headline = self.meters.validated()
        if self.average is not None:
            averaged, _ = self.average_meters.validated()
            shown |= {name.replace("val/", "val/ema_", 1): value for name, value in averaged.items()}
        self.log_dict({k: torch.tensor(v) for k, v in shown.items()}, prog_bar=False)
        # StepProgress shows percent
        self.log_dict({k: torch.tensor(v) for k, v in headline.items()}, prog_bar=True, logger=False)

    def configure_model(self) -> None:
        if self.device_mesh is not None:  # of a strategy that shares weights out
            shard(self, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> dict:
        optimizer = make_optimizer(self.model, self.techniques, self.config.optimizer)
        steps = self.config.training.steps
        schedule = optim.lr_scheduler.LambdaLR(
            optimizer,
            [
                partial(
                    learning_rate_factor,
                    steps=steps,
                    config=self.config.optimizer,
                    in_backbone=group["name"].startswith("backbone"),
                )
                for group in optimizer.param_groups
            ],
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning refuses fused optimizers, because of the loss scaling of fp16; bf16 and fp32 have none
        if gradient_clip_val is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            by_value = self.config.optimizer.clip_by == "value"
            clip = torch.nn.utils.clip_grad_value_ if by_value else torch.nn.utils.clip_grad_norm_
            clip(parameters, gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint.setdefault("pantile", {}).update(  # callbacks may have added what they know
            config=to_dict(self.config), taxonomy=self.taxonomy.to_dict(), step=self.global_step
        )

    def _explain_non_finite(self, what: str, targets: PanopticTargets) -> str:
        rate = decoder_rate(self.trainer.optimizers[0])
        return (
            f"Training stopped at step {self.global_step}: the loss is not finite ({what}) on images "
            f"{', '.join(targets.names)} at learning rate {rate:g}; lower optimizer.learning_rate, or resume the "
            "last checkpoint with --resume and another seed."
        )


def _diagnostics(result: CriterionResult) -> dict[str, Tensor]:
    """What is logged beside the losses: segment counts, and how many times the false-positive part of each output's
    mask loss is its false-negative part (ReMaX, Figures 1 and 7)."""
    shown = {f"count/{name}": value.float() for name, value in result.counts.items()}
    for name, false_positive in result.fp_fn.items():
        output = name.removeprefix("false_positive_")
        if output != name:
            shown[f"train/fp_fn_{output}"] = false_positive / result.fp_fn[f"false_negative_{output}"].clamp(min=1e-12)
    return shown


def decoder_rate(optimizer: optim.Optimizer) -> float:
    """The learning rate of the decoder, as it stands now."""
    return next(group["lr"] for group in optimizer.param_groups if group["name"].startswith("decoder"))
