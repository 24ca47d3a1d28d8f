"""Two processes that share the weights out: the losses and files of two that hold them whole, and of one."""

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from lightning.pytorch.callbacks import Callback

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.checkpoint import LAST, load_checkpoint
from pantile.engine.config import RunConfig, override
from pantile.engine.evaluate import evaluate
from pantile.engine.loaders import evaluation_loader
from pantile.engine.sharding import check_shard
from pantile.engine.train import train
from pantile.visualize.run_log import read_run_log
from tiny_runs import make_tiny_config

#: of which one process validates two and the other one
SCENES = Scenes(3, size=(33, 33), seed=3)
#: AdamW divides by the root of a square, so without a large eps it makes whole steps of rounding
SMOOTH = "optimizer.eps=0.001"


def config_of(shard: str) -> RunConfig:
    config = make_tiny_config("deeplabv3_nano")
    config.model = replace(config.model, backbone="test_resnet", pretrained=False)
    config.augment.crop = config.evaluation_size = (33, 33)
    config.training = replace(
        config.training, steps=2, effective_batch=2, validate_every=1.0, validation_images=3, checkpoint_minutes=0.0
    )
    settings = [f"training.shard={shard}", "training.average.decay=0.4", "optimizer.gradient_clip=0.5", SMOOTH]
    return override(config, settings)


WITHOUT_VALIDATION = override(config_of("full"), ["training.validation_images=0"])


class CopyAfterOneStep(Callback):
    """Another run folder, as of a run that was killed after its first step."""

    def __init__(self, run: Path, copy: Path) -> None:
        self.run, self.copy = run, copy

    def on_train_batch_start(self, trainer, *_: object) -> None:
        if trainer.global_step == 1 and trainer.is_global_zero:
            shutil.copytree(self.run, self.copy)


def train_all(rank: int, port: int, folder: Path) -> None:
    total, place = "2", {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=total, LOCAL_WORLD_SIZE=total)
    torch.set_num_threads(1)
    for name in ("none", "full"):
        copy = CopyAfterOneStep(folder / name, folder / f"{name} cut")
        train(config_of(name), SCENES, SCENES, folder / name, callbacks=[copy])
    if rank == 0:
        shutil.copytree(folder / "full cut", folder / "full, then full")
    torch.distributed.barrier()
    train(WITHOUT_VALIDATION, SCENES, SCENES, folder / "full, then full", resume=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(train_all, args=(port, folder), nprocs=2, start_method="fork")
    return folder


def content(run: Path) -> dict:
    return torch.load(run / LAST, weights_only=True)


def assert_same(run: Path, other: Path, **tolerance: float) -> None:
    tolerance = tolerance or {"rtol": 1e-4, "atol": 1e-5}
    for choice in ("best", "last", "ema", "ema-last"):
        one, two = (load_checkpoint(folder, choice).state for folder in (run, other))
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(two[name], one[name], **tolerance)


def test_losses_and_weights_are_those_of_whole_weights(runs):
    logs = [read_run_log(runs / name) for name in ("none", "full")]
    for name in ("train/loss", "val/miou"):
        assert logs[1][name] == pytest.approx(logs[0][name], rel=1e-4, nan_ok=True)
    assert_same(runs / "none", runs / "full")


def test_the_checkpoint_is_in_the_form_of_any_other(runs):
    whole, sharded = content(runs / "none"), content(runs / "full")
    assert whole.keys() == sharded.keys()
    (mine,), (theirs,) = sharded["optimizer_states"], whole["optimizer_states"]
    assert mine["param_groups"] == theirs["param_groups"] and mine["state"].keys() == theirs["state"].keys()
    for number, state in theirs["state"].items():
        torch.testing.assert_close(mine["state"][number], state, rtol=1e-3, atol=1e-6)
    names = ("AverageWeights", "RunCheckpoints")
    averages, keepers = ([c["callbacks"][name] for c in (whole, sharded)] for name in names)
    assert averages[0]["weights"].keys() == averages[1]["weights"].keys() and keepers[0].keys() == keepers[1].keys()
    assert evaluate(load_checkpoint(runs / "full"), SCENES, limit=1).per_image


def test_it_goes_on_sharded_and_whole(runs):
    assert_same(runs / "full", runs / "full, then full", rtol=0.0, atol=0.0)
    whole = override(WITHOUT_VALIDATION, ["training.shard=none"])
    for name in ("none cut", "full cut"):  # on one process, which draws other random numbers than two
        train(whole, SCENES, SCENES, runs / name, resume=True)
    assert_same(runs / "none cut", runs / "full cut")


def test_one_process_holds_all(tmp_path, capfd):
    config = override(config_of("full"), ["training.steps=1", "training.validation_images=0"])
    train(config, SCENES, SCENES, tmp_path / "run")
    assert "one process holds all weights, as with training.shard=none" in capfd.readouterr().err


def test_what_does_not_go_together_is_refused():
    training = override(config_of("full"), ["training.compile=true"]).training
    with pytest.raises(UserError, match=r"training\.shard=full puts weights together between the operations"):
        check_shard(training, 2)
    assert not check_shard(training, 1)


def test_fewer_images_than_processes_are_refused():
    with pytest.raises(UserError, match=r"1 image\(s\) to evaluate cannot be shared by 2 processes"):
        evaluation_loader(SCENES, config_of("none"), 0, 2, limit=1)
    assert len(evaluation_loader(SCENES, config_of("none"), 1, 2)) == 1
