"""The average of a run's weights: the formula, beside weights that it leaves alone, the same after an interruption."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.checkpoint import AVERAGE, LAST, LAST_AVERAGE, LAST_WEIGHTS, load_checkpoint
from pantile.engine.config import RunConfig, override
from pantile.engine.evaluate import evaluate
from pantile.engine.train import train
from pantile.visualize.run_log import read_run_log
from tiny_runs import make_tiny_config

SCENES = Scenes(3, size=(33, 33), seed=3)
KEPT = ("training.average.decay=0.4",)


def config_of(*settings: str) -> RunConfig:
    """A pixel classifier, whose batch norms are in use and whose mIoU is not 0."""
    config = make_tiny_config("deeplabv3_nano")
    config.model = replace(config.model, backbone="test_resnet", pretrained=False)
    config.augment.crop = config.evaluation_size = (33, 33)
    config.training = replace(config.training, steps=4, effective_batch=2, validate_every=0.5, validation_images=2)
    return override(config, settings)


class Watch(Callback):
    """The weights before the first step and after each."""

    def __init__(self, leave_after: int | None = None) -> None:
        self.seen: dict[int, dict[str, torch.Tensor]] = {}
        self.leave_after = leave_after

    def on_train_start(self, trainer, task) -> None:
        self._look(trainer, task)

    def on_train_batch_end(self, trainer, task, *_: object) -> None:
        self._look(trainer, task)
        if trainer.global_step == self.leave_after:
            raise ConnectionAbortedError

    def _look(self, trainer, task) -> None:
        now = {name: tensor.clone() for name, tensor in task.state_dict().items()}
        self.seen.setdefault(trainer.global_step, now)  # the next batch of the same step moves batch norms on


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch]:
    """A run in which each step accumulates the gradients of two batches."""
    watch = Watch()
    config = config_of(*KEPT, "training.device_batch=1")
    run = tmp_path_factory.mktemp("average") / "run"
    return train(config, SCENES, SCENES, run, callbacks=[watch]), watch


def test_the_average_is_that_of_a_plain_loop(whole):
    run, watch = whole
    expected = dict(watch.seen[0])
    for step in (1, 2, 3, 4):
        decay = min(0.4, (1 + step) / (10 + step))
        for name, weights in watch.seen[step].items():
            smooth = weights.is_floating_point()
            expected[name] = decay * expected[name] + (1 - decay) * weights if smooth else weights
    saved, raw = load_checkpoint(run, "ema-last"), load_checkpoint(run, "last")
    assert saved.step == raw.step == 4 and saved.state.keys() == raw.state.keys()
    for name, tensor in saved.state.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-7)
    statistics = next(name for name in saved.state if name.endswith("running_var"))
    assert not torch.equal(saved.state[statistics], raw.state[statistics])
    assert all(torch.equal(raw.state[name], watch.seen[4][name]) for name in raw.state)


def test_it_is_validated_beside_the_weights(whole, capfd):
    run, _ = whole
    log = read_run_log(run)
    rows = [row for row in range(len(log["step"])) if not math.isnan(log["val/ema_miou"][row])]
    assert [log["step"][row] for row in rows] == [1, 3]
    saved = load_checkpoint(run, "ema-last")
    assert saved.metric == "miou" and saved.value == pytest.approx(log["val/ema_miou"][rows[-1]])
    measured = evaluate(saved, SCENES, limit=2).main_value
    assert measured == pytest.approx(saved.value, abs=2e-3) and measured > 0
    best = load_checkpoint(run, "ema")
    assert best.value == max(log["val/ema_miou"][row] for row in rows)
    assert "mIoU" in best.describe() and best.describe().endswith(
        f"(average of the weights, best validation): {run / AVERAGE}"
    )
    assert main(["eval", str(run), "--weights", "ema", "--data", "scenes:1"]) == 0
    assert f"pantile: {best.describe()}" in capfd.readouterr().err


def test_it_changes_nothing_of_the_run_and_survives_a_kill(whole, tmp_path):
    run, _ = whole
    config = config_of(*KEPT, "training.device_batch=1")
    without = replace(config, training=replace(config.training, average=None))
    plain = train(without, SCENES, SCENES, tmp_path / "plain")
    with pytest.raises(ConnectionAbortedError):
        train(config, SCENES, SCENES, tmp_path / "cut", callbacks=[Watch(leave_after=3)])
    with pytest.raises(UserError, match=r"keeps an average of its weights, which training\.average would change"):
        train(without, SCENES, SCENES, tmp_path / "cut", resume=True)
    resumed = train(config, SCENES, SCENES, tmp_path / "cut", resume=True)
    for other, names in ((plain, (LAST_WEIGHTS,)), (resumed, (LAST_WEIGHTS, LAST_AVERAGE, AVERAGE, LAST))):
        for name in names:
            a, b = load_checkpoint(run / name), load_checkpoint(other / name)
            assert (a.step, a.value) == (b.step, b.value)
            assert all(torch.equal(a.state[key], b.state[key]) for key in a.state), name
    with pytest.raises(UserError, match=r"`ema` is the average .* training.average.decay=0.999"):
        load_checkpoint(plain, "ema")


def test_without_validation_both_files_hold_the_last_average(tmp_path):
    config = config_of("training.average.warmup=false", "training.validation_images=0", "training.steps=1")
    watch = Watch()
    run = train(config, SCENES, SCENES, tmp_path / "run", callbacks=[watch])
    name = "model.classifier.weight" if "model.classifier.weight" in watch.seen[0] else next(iter(watch.seen[0]))
    for weights in ("ema", "ema-last"):
        saved = load_checkpoint(run, weights)
        expected = 0.999 * watch.seen[0][name] + 0.001 * watch.seen[1][name]
        torch.testing.assert_close(saved.state[name], expected)
        assert (saved.step, saved.value) == (1, None)
