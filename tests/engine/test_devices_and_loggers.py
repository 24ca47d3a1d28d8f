"""Devices and loggers by name: what is not here ends in one sentence that says the remedy."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.engine.config import override
from pantile.engine.devices import device_named
from pantile.engine.loggers import LOGGERS, check_loggers, loggers_of
from pantile.engine.processes import Processes
from pantile.engine.train import make_trainer
from tiny_runs import make_tiny_config


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_without_a_gpu(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_named("auto") == device_named("cpu") == torch.device("cpu")
    for name, sentence in {
        "cuda": "CUDA.*; here are: auto, cpu",
        "cuda:3": "CUDA.*; here are: auto, cpu",
        "mps": "no Apple GPU on this machine; here are",
        "gpu": "no such device; choose from auto, cpu, cuda, cuda:0",
    }.items():
        with pytest.raises(UserError, match=f"--device {name}: .*{sentence}"):
            device_named(name)
    arguments = ["train", "remax_nano", "--data", "scenes:2", "--device", "cuda:1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 2 and not (tmp_path / "run").exists()
    assert capsys.readouterr().err.count("--device cuda:1:") == 1


def test_one_of_two_gpus(two_gpus, monkeypatch):
    assert device_named("auto") == torch.device("cuda") and device_named("cuda:1") == torch.device("cuda:1")
    with pytest.raises(
        UserError, match=r"cuda:2: this machine has 2 CUDA GPU\(s\); here are: auto, cpu, cuda:0, cuda:1"
    ):
        device_named("cuda:2")
    asked = []
    monkeypatch.setattr("lightning.Trainer", lambda **options: asked.append(options))
    for name in ("auto", "cuda:1", "cpu"):
        make_trainer(make_tiny_config(), device=name)
    assert [(a["accelerator"], a["devices"]) for a in asked] == [("cuda", 1), ("cuda", [1]), ("cpu", 1)]
    monkeypatch.setattr("pantile.engine.devices.processes", lambda: Processes(1, 2, 0))
    assert device_named("cuda") == torch.device("cuda")
    with pytest.raises(UserError, match="cuda:1 is one device, and 2 processes were started: give auto or cuda"):
        device_named("cuda:1")


def test_a_logger_that_is_not_there(monkeypatch):
    check_loggers(["tensorboard"])
    monkeypatch.setattr("pantile.engine.loggers.find_spec", lambda name: None)
    for name in ("wandb", "mlflow", "aim"):
        with pytest.raises(UserError, match=rf"{name} is not installed here: install it with .*pantile\[{name}"):
            check_loggers([name])
    with pytest.raises(UserError, match=r"wandb.* did you mean|did you mean .*wandb"):
        check_loggers(["wanb"])


def test_numbers_go_where_the_config_says(monkeypatch, tmp_path):
    class AimLogger(Logger):
        """Stands for Aim's, which takes the same names."""

        name, version = "aim", 0

        def __init__(self, repo: str, experiment: str, run_name: str) -> None:
            self.given = (repo, experiment, run_name)

        def log_metrics(self, *_: object, **__: object) -> None: ...

        def log_hyperparams(self, parameters: dict) -> None:
            self.parameters = parameters

    module = ModuleType("aim.pytorch_lightning")
    module.AimLogger = AimLogger
    monkeypatch.setitem(sys.modules, "aim", ModuleType("aim"))
    monkeypatch.setitem(sys.modules, "aim.pytorch_lightning", module)
    config = override(make_tiny_config(), ["training.loggers=[tensorboard, aim]"])
    run = tmp_path / "run"
    csv, board, aim = loggers_of(config, run, 20)
    assert isinstance(csv, CSVLogger) and isinstance(board, TensorBoardLogger) and isinstance(aim, AimLogger)
    assert aim.given == (str(tmp_path), "pantile", "run/from_step_0000020")
    assert aim.parameters["recipe"] == config.recipe
    none = replace(config, training=replace(config.training, loggers=()))
    assert [type(logger) for logger in loggers_of(none, run, 0)] == [CSVLogger]
    assert set(LOGGERS) >= {"tensorboard", "wandb", "mlflow", "aim"}
