"""Whole runs: the same curve after an interruption, on two processes as on one, from any checkpoint."""

import csv
import math
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest
import torch
import torch.multiprocessing
from lightning.pytorch.callbacks import Callback

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.checkpoint import LAST, WEIGHTS, load_checkpoint
from pantile.engine.config import override, save_yaml
from pantile.engine.evaluate import evaluate
from pantile.engine.train import train
from pantile.inference.views import Views
from pantile.merge import merge
from pantile.visualize.run_log import read_run_log
from tiny_runs import make_tiny_config


class StopAfter(Callback):
    """An interruption: the process goes away after some optimizer steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_: object) -> None:
        if trainer.global_step == self.step:
            raise ConnectionAbortedError("the machine is gone")


def losses(run: Path) -> dict[int, float]:
    log = read_run_log(run)
    seen = zip(log["step"].astype(int).tolist(), log["train/loss"].tolist(), strict=True)
    return {step: loss for step, loss in seen if not math.isnan(loss)}


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_resumed_run_continues_the_same_curve(tiny_scenes, tmp_path, accumulation):
    config = make_tiny_config()
    config.training.device_batch = config.training.effective_batch // accumulation
    config.training.checkpoint_minutes = 0.0
    whole = train(config, tiny_scenes, tiny_scenes, tmp_path / "whole")
    with pytest.raises(ConnectionAbortedError):
        train(config, tiny_scenes, tiny_scenes, tmp_path / "broken", callbacks=[StopAfter(3)])
    assert load_checkpoint(tmp_path / "broken" / LAST).step == 2  # the third step was not over
    resumed = train(config, tiny_scenes, tiny_scenes, tmp_path / "broken", resume=True)

    expected, seen = losses(whole), losses(resumed)
    assert list(expected) == [0, 1, 2, 3]
    assert list(seen) == list(expected)
    assert all(seen[step] == expected[step] for step in seen)
    one, other = (load_checkpoint(run / LAST).state for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_run_folder_holds_what_it_should_and_evaluates(tiny_scenes, tmp_path):
    config = make_tiny_config()
    run = train(config, tiny_scenes, tiny_scenes, tmp_path / "run")
    assert (run / "config.yaml").exists() and (run / LAST).exists() and (run / WEIGHTS).exists()
    for path in (run, run / LAST, run / WEIGHTS):
        checkpoint = load_checkpoint(path)
        assert checkpoint.taxonomy == tiny_scenes.taxonomy
        assert checkpoint.config == config
    log = read_run_log(run)
    assert {"train/loss", "train/mask_id", "train/fp_fn_final", "val/pq", "lr"} <= log.keys()
    result = evaluate(load_checkpoint(run), tiny_scenes)
    assert [index for index, _ in result.per_image] == list(range(len(tiny_scenes)))
    assert 0 <= result.quality.all.pq <= 1


def test_a_run_folder_that_exists_is_refused(tiny_scenes, tmp_path):
    config = make_tiny_config()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="the run folder exists; continue it with --resume"):
        train(config, tiny_scenes, tiny_scenes, tmp_path)
    with pytest.raises(UserError, match="nothing to resume"):
        train(config, tiny_scenes, tiny_scenes, tmp_path / "new", resume=True)


def test_more_segments_than_queries_warns_and_trains(tmp_path):
    scenes = Scenes(4, size=(65, 65), seed=3)
    config = override(make_tiny_config(), ["model.num_queries=2", "training.steps=1"])
    run = train(config, scenes, scenes, tmp_path / "run")
    dropped = read_run_log(run)["count/dropped_segments"]
    assert (dropped[~torch.tensor(dropped).isnan().numpy()] > 0).all()


# What follows starts other processes.


def launch(arguments: list[str], processes: int) -> None:
    """With torch's launcher."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "pantile.cli.main", *arguments], env=environment, stderr=subprocess.PIPE, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def fork(arguments: list[str]) -> tuple[int, TextIO]:
    """The process, and what it and its children write to stderr; it need not import everything again."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, os.fdopen(reading)
    try:
        os.dup2(writing, 2)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        code = main(arguments)
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # it must not come back as a second pytest
        traceback.print_exc()
        code = 99
    sys.stderr.flush()
    os._exit(code)


def run_forked(arguments: list[str], processes: int) -> None:
    """Forks that think the launcher started them."""
    if processes == 1:
        assert main(arguments) == 0
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(
        _fork, args=(arguments, processes, port), nprocs=processes, start_method="fork"
    )


def _fork(rank: int, arguments: list[str], processes: int, port: int) -> None:
    total, place = str(processes), {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=total, LOCAL_WORLD_SIZE=total)
    assert main(arguments) == 0


def test_two_processes_give_what_one_gives(tmp_path):
    """Same effective batch, statistics over both processes; at step 0 one process has no segment at all."""
    from pantile.data import Subset, write_coco_panoptic

    scenes = Scenes(8, size=(65, 65), seed=3)
    write_coco_panoptic(scenes, tmp_path / "data", "train")
    write_coco_panoptic(Subset(scenes, range(3)), tmp_path / "data", "val")
    _empty_some_images(tmp_path / "data", count=4)
    config = override(
        make_tiny_config(),
        # No random draws, which would differ between processes.
        ["criterion.instance_weight=0", "criterion.semantic_pixels=plain", "techniques.remask=null",
         "training.steps=3", "training.average.decay=0.5", "training.effective_batch=2",
         "augment.redraws=0", "model.auxiliary_head=none"],
    )  # fmt: skip
    save_yaml(config, tmp_path / "config.yaml")
    arguments = ["train", "--config", str(tmp_path / "config.yaml"), "--data", str(tmp_path / "data")]
    assert main([*arguments, "--out", str(tmp_path / "run1")]) == 0
    launch([*arguments, "--out", str(tmp_path / "run2")], 2)
    one, two = losses(tmp_path / "run1"), losses(tmp_path / "run2")
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    # From here on AdamW turns rounding of tiny gradients into whole steps.
    assert two[1] == pytest.approx(one[1], rel=1e-3)
    assert two[2] == pytest.approx(one[2], rel=1e-2)
    average, other = (load_checkpoint(tmp_path / f"run{count}", "ema-last").state for count in (1, 2))
    for name in average:
        torch.testing.assert_close(other[name], average[name], rtol=1e-2, atol=2e-3)

    for processes in (1, 2):
        json = str(tmp_path / f"{processes}.json")
        run_forked(["eval", str(tmp_path / "run1"), "--data", str(tmp_path / "data"), "--json", json], processes)
    assert (tmp_path / "1.json").read_text() == (tmp_path / "2.json").read_text()

    for processes in (1, 2):
        out = tmp_path / f"out{processes}"
        run_forked(["predict", str(tmp_path / "run1"), str(tmp_path / "data" / "val"), "--out", str(out)], processes)
    files = [sorted(p.relative_to(tmp_path / f"out{n}") for p in (tmp_path / f"out{n}").rglob("*.*")) for n in (1, 2)]
    assert files[0] == files[1] and len(files[0]) == 8
    for name in files[0]:
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


def _empty_some_images(root: Path, count: int) -> None:
    """Turns the labels of the first images into void."""
    import json

    import numpy as np
    from PIL import Image

    path = root / "annotations" / "panoptic_train.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"][:count]:
        annotation["segments_info"] = []
        png = root / "annotations" / "panoptic_train" / annotation["file_name"]
        Image.fromarray(np.zeros_like(np.asarray(Image.open(png)))).save(png)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_can_be_resumed(tmp_path, how):
    run = tmp_path / "run"
    settings = ["training.steps=60", "training.checkpoint_minutes=0.002", "training.workers=1"]
    config = override(make_tiny_config(), settings)
    save_yaml(config, tmp_path / "config.yaml")
    arguments = ["train", "--config", str(tmp_path / "config.yaml"), "--data", "scenes:6", "--out", str(run)]
    process, messages = fork(arguments)
    deadline = time.monotonic() + 240
    while not _logged_steps(run) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process, how)
    said = messages.read()  # ends when no worker holds the pipe any more
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code == (143 if how == signal.SIGTERM else -how), said
    finished = load_checkpoint(run / LAST).step
    assert 0 < finished < 60
    if how == signal.SIGTERM:
        assert f"stopped after step {finished} of 60, saved in {run / LAST}" in said
    assert main(["train", "--resume", "--out", str(run), "--set", f"training.steps={finished + 2}"]) == 0
    assert load_checkpoint(run / LAST).step == finished + 2


def _logged_steps(run: Path) -> int:
    files = list(run.glob("logs/*/metrics.csv"))
    if not files:
        return 0
    with files[0].open(newline="") as file:
        return max(0, len(list(csv.reader(file))) - 3)


def test_a_technique_that_stays_at_test_follows_the_folded_model(tiny_scenes, tmp_path):
    """ReMask at test time steers the copy of the model that inference uses, with the technique's own weights."""
    from pantile.engine.evaluate import load_task

    settings = ["techniques.remask.steer=true", "techniques.remask.at_test=true", "training.steps=1"]
    run = train(override(make_tiny_config(), settings), tiny_scenes, tiny_scenes, tmp_path / "run")
    task = load_task(load_checkpoint(run))
    assert task.model.steer.__self__ is task.techniques["remask"]
    images = torch.randint(0, 256, (1, 3, 65, 65), dtype=torch.uint8)
    with torch.inference_mode():
        layer = task(images, layer_outputs=True).layers[0]
        assert not torch.equal(task.model.steer(0, layer), layer.mask_logits)


def test_an_evaluation_measures_three_tasks_and_averages_over_views(tiny_scenes, tmp_path, monkeypatch):
    outputs = []  # what each evaluation merges; numbers of a model that knows nothing may well be equal
    monkeypatch.setattr(
        "pantile.inference.images.merge", lambda output, *options: outputs.append(output) or merge(output, *options)
    )
    config = make_tiny_config()
    everything = {"pixel_confidence": 0.05, "thing_class_threshold": 0.0, "stuff_class_threshold": 0.0, "overlap": 0.0}
    config.merge = replace(config.merge, **everything)  # so that a model that knows nothing yet predicts something
    checkpoint = load_checkpoint(train(config, tiny_scenes, tiny_scenes, tmp_path / "run"))
    outputs.clear()
    plain = evaluate(checkpoint, tiny_scenes, limit=3)
    batches, content = len(outputs), plain.to_dict()
    of_panoptic = {"panoptic", "panoptic_errors", "thing_pixels", "thing_confusion"}
    assert content.keys() == of_panoptic | {"instance", "semantic"}
    assert 0 <= content["semantic"]["miou"] <= 1
    same = evaluate(checkpoint, tiny_scenes, limit=3, views=Views((1.0,)), tasks=frozenset({"panoptic"}))
    assert same.quality == plain.quality and same.to_dict().keys() == of_panoptic
    assert torch.equal(outputs[batches].mask_logits, outputs[0].mask_logits)
    evaluate(checkpoint, tiny_scenes, limit=3, views=Views((0.5, 1.0), flip=True))
    assert not torch.allclose(outputs[-batches].mask_logits, outputs[0].mask_logits)
