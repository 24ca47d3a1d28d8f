"""Learning experiments: variants of recipes, several seeds, mean and spread. Not a script of its own."""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from pantile.data import PanopticDataset
from pantile.engine.checkpoint import LAST, Checkpoint, load_checkpoint
from pantile.engine.config import RunConfig, override
from pantile.engine.evaluate import evaluate
from pantile.engine.train import train
from pantile.recipes import make_recipe


@dataclass(frozen=True)
class Variant:
    """One side of a comparison: a recipe with overrides."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()

    def config(self, *further: str) -> RunConfig:
        return override(make_recipe(self.recipe), [*self.overrides, *further])


def train_and_evaluate(
    config: RunConfig,
    training_set: PanopticDataset,
    unseen: PanopticDataset,
    run: Path,
    init: Checkpoint | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict:
    """What ``evaluate`` says of the last weights, as plain containers, and the minutes of training.

    A run folder with a result is not trained again, an interrupted one goes on.
    """
    result_file = run / "result.json"
    if result_file.exists():
        return json.loads(result_file.read_text())
    start = time.monotonic()
    started = (run / LAST).exists()
    train(config, training_set, unseen, run, resume=started, init=None if started else init, callbacks=callbacks)
    minutes = (time.monotonic() - start) / 60
    result = evaluate(load_checkpoint(run / LAST), unseen).to_dict() | {"minutes": minutes}
    result_file.write_text(json.dumps(result))
    return result


def groups_of(result: dict) -> dict[str, float]:
    """PQ in percent: all, things, stuff."""
    return {group: 100 * result["panoptic"][group]["pq"] for group in ("all", "things", "stuff")}


def scores_of(result: dict) -> dict[str, float]:
    """PQ of all, things and stuff, mask AP and mIoU, in percent."""
    quality = {{"all": "PQ"}.get(group, group): value for group, value in groups_of(result).items()}
    return quality | {"AP": 100 * result["instance"]["ap"], "mIoU": 100 * result["semantic"]["miou"]}


def spread(values: Sequence[float]) -> str:
    """Mean (standard deviation)."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ({deviation:.1f})"


def core_seconds_per_step(config: RunConfig, training_set: PanopticDataset, run: Path, steps: int = 40) -> float:
    """Seconds of one core that a training step takes, loading included; other jobs on the machine do not count.

    Threads of torch must be set to 1 by the caller, or what they wait counts as work.
    """
    config = override(config, [f"training.steps={steps}", "training.workers=0", "training.validate_every=1"])
    config.training.validation_images = 1
    clock = _Clock()
    train(config, training_set, training_set, run, callbacks=[clock])
    return statistics.median(clock.seconds[5:])


def steps_within(core_minutes: float, config: RunConfig, training_set: PanopticDataset, folder: Path) -> int:
    """Steps that fit into the minutes of one core; a step's seconds are measured once and noted in ``folder``."""
    note = folder / "speed.json"
    if not note.exists():
        with tempfile.TemporaryDirectory() as scratch:
            seconds = core_seconds_per_step(config, training_set, Path(scratch) / "run")
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"seconds": seconds}))
    return round(60 * core_minutes / json.loads(note.read_text())["seconds"])


class _Clock(Callback):
    """Processor time of each step: from the end of a step to the end of the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        now = time.process_time()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now
