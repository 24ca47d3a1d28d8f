"""LOGGERS: where a run's numbers go beside its CSV file, by the names of ``training.loggers``.

A logger is one function here, or in a package of one's own::

    @register_logger("mine")
    def mine(part: LoggedPart) -> Logger: ...
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from pantile.contracts.errors import UserError
from pantile.contracts.registry import Registry, calling_module
from pantile.engine.config import RunConfig, to_dict

PROJECT = "pantile"  # what trackers of many runs call the whole


@dataclass(frozen=True)
class LoggedPart:
    """A run from its start or from a resume on: a curve of its own, so that nothing earlier is overwritten.

    Attributes:
        run: the run folder.
        version: such as "from_step_0000000".
        log_every: steps between rows.
    """

    run: Path
    version: str
    log_every: int

    @property
    def name(self) -> str:
        """For trackers of many runs."""
        return f"{self.run.name}/{self.version}"


@dataclass(frozen=True)
class LoggerKind:
    """
    Attributes:
        create: of the logger for one part of a run.
        needs: a package that has to be importable, which the extra of the logger's name installs; None for none.
    """

    create: Callable[[LoggedPart], Logger]
    needs: str | None


LOGGERS: Registry[LoggerKind] = Registry("logger", "pantile.engine")
Create = TypeVar("Create", bound=Callable[[LoggedPart], Logger])


def register_logger(name: str, needs: str | None = None) -> Callable[[Create], Create]:
    """A decorator of ``LoggedPart -> Logger``; see ``LoggerKind``."""
    home = calling_module()

    def add(create: Create) -> Create:
        LOGGERS.register(name, home)(LoggerKind(create, needs))
        return create

    return add


def loggers_of(config: RunConfig, run: Path, finished_steps: int) -> list[Logger]:
    """The CSV file, which resuming and reports read, and what ``training.loggers`` names.

    Raises:
        UserError: a name that there is not, or one whose package is not installed.
    """
    every = config.training.log_every
    part = LoggedPart(run, f"from_step_{finished_steps:07d}", every)
    csv = CSVLogger(run, name="logs", version=part.version, flush_logs_every_n_steps=every)
    others = [LOGGERS.find(name, "training.loggers").create(part) for name in config.training.loggers]
    for logger in others:
        if not isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(to_dict(config))
    return [csv, *others]


def check_loggers(names: Sequence[str]) -> None:
    """Raises UserError for a name that there is not, or one whose package is not installed."""
    for name in names:
        needs = LOGGERS.find(name, "training.loggers").needs
        if needs is not None and find_spec(needs) is None:
            raise UserError(
                f"training.loggers: {name} is not installed here: install it with `pip install 'pantile[{name}]'`, or "
                "leave it out."
            )


@register_logger("tensorboard")
def tensorboard(part: LoggedPart) -> Logger:
    return TensorBoardLogger(part.run, name="tensorboard", version=part.version)


@register_logger("wandb", needs="wandb")
def wandb(part: LoggedPart) -> Logger:
    """Weights & Biases; its own environment variables say where and as whom (``WANDB_MODE=offline`` keeps it here)."""
    return WandbLogger(name=part.name, save_dir=part.run, project=PROJECT, group=part.run.name)


@register_logger("mlflow", needs="mlflow")
def mlflow(part: LoggedPart) -> Logger:
    """``MLFLOW_TRACKING_URI`` says where; without it, a data base beside the run folder."""
    import os

    place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{part.run.resolve().parent / 'mlflow.db'}"
    return MLFlowLogger(experiment_name=PROJECT, run_name=part.name, tracking_uri=place)


@register_logger("aim", needs="aim")
def aim(part: LoggedPart) -> Logger:
    """Aim's own logger for Lightning; its repository lies beside the run folder."""
    from aim.pytorch_lightning import AimLogger

    return AimLogger(repo=str(part.run.resolve().parent), experiment=PROJECT, run_name=part.name)
