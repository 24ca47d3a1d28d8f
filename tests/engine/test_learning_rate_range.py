"""The range test of the learning rate: the rates it uses, what it says of known curves, and a stop in its midst."""

import os
import signal

import numpy as np
import pytest

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.config import save_yaml
from pantile.engine.learning_rate_range import RateRange, try_rates
from pantile.engine.task import PanopticTask
from tiny_runs import make_tiny_config


def config_of():
    config = make_tiny_config("panoptic_deeplab_nano")
    config.model.backbone, config.model.pretrained = "test_resnet", False
    config.optimizer.backbone_multiplier = 0.1
    config.augment.crop = config.evaluation_size = (33, 33)
    config.training.effective_batch, config.training.device_batch = 2, 1
    return config


def test_what_a_curve_says():
    rates = np.geomspace(1e-5, 1, 51)
    valley = RateRange(rates, np.abs(np.log10(rates) + 2) + 1)
    assert 1e-2 <= valley.lowest < 10e-2  # the mean of earlier losses lags behind them
    assert valley.suggestion == pytest.approx(valley.lowest / 10)
    assert RateRange(rates, np.arange(51.0)).suggestion is None
    np.testing.assert_allclose(RateRange(rates, np.full(51, 3.0)).smoothed, 3.0)


def test_the_rates_rise_to_the_end_or_until_the_loss_leaves(monkeypatch):
    used, training_step = [], PanopticTask.training_step

    def seen(task, batch, number):
        used.append([group["lr"] for group in task.trainer.optimizers[0].param_groups])
        loss = training_step(task, batch, number)
        return loss * 100 if task.global_step >= 11 else loss

    monkeypatch.setattr(PanopticTask, "training_step", seen)
    scenes = Scenes(2, size=(33, 33), seed=3)
    found = try_rates(config_of(), scenes, 1e-6, 1e-2, steps=16)
    expected = np.geomspace(1e-6, 1e-2, 16)[: len(found.rates)]
    np.testing.assert_allclose(found.rates, expected)
    np.testing.assert_allclose([max(rates) for rates in used[::2]], expected)
    np.testing.assert_allclose([min(rates) for rates in used[1::2]], 0.1 * expected)  # of the backbone
    assert len(found.rates) == 12  # the loss left at the twelfth step
    for wrong, sentence in (((0.1, 0.1, 20), "range 0.1:0.1 is none"), ((1e-6, 1, 3), "give at least 10")):
        with pytest.raises(UserError, match=sentence):
            try_rates(config_of(), scenes, *wrong)


def test_the_verb_draws_suggests_and_is_stopped(tmp_path, capsys, monkeypatch):
    save_yaml(config_of(), tmp_path / "config.yaml")
    arguments = [
        "train",
        "--config",
        str(tmp_path / "config.yaml"),
        "--data",
        "scenes:2",
        "--out",
        str(tmp_path / "rates"),
    ]
    arguments += ["--lr-range", "1e-5:1e-2", "--lr-range-steps", "10"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith("10 steps, from 1e-05 to 0.01; the loss was lowest at")
    assert sorted(path.name for path in (tmp_path / "rates").iterdir()) == ["learning_rates.csv", "learning_rates.png"]
    assert (tmp_path / "rates" / "learning_rates.csv").read_text().splitlines()[10].startswith("0.01,")

    monkeypatch.setattr(PanopticTask, "on_validation_epoch_start", lambda task: None)
    monkeypatch.setattr(PanopticTask, "training_step", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    arguments[arguments.index("--out") + 1] = str(tmp_path / "stopped")
    assert main(arguments) == 130 and not (tmp_path / "stopped").exists()
    assert "the range test was not over and nothing was written: run it again" in capsys.readouterr().err
    assert main(["train", "remax_nano", "--data", "scenes:2", "--lr-range-steps", "10"]) == 2
    assert main(["train", "remax_nano", "--data", "scenes:2", "--lr-range", "1:0.1"]) == 2
    assert "give 0 < LOW < HIGH" in capsys.readouterr().err
