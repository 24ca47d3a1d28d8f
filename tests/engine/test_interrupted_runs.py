"""Runs that end early and go on: nothing is lost and nothing differs, wherever the end came."""

import math
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from pantile.contracts.errors import UserError
from pantile.contracts.interruption import Interrupted
from pantile.data import Scenes
from pantile.engine.checkpoint import LAST, LAST_WEIGHTS, WEIGHTS, load_checkpoint
from pantile.engine.checkpoint_files import PREVIOUS
from pantile.engine.config import RunConfig, override
from pantile.engine.task import PanopticTask
from pantile.engine.train import train
from pantile.visualize.run_log import read_run_log
from tiny_runs import make_tiny_config

SCENES = Scenes(3, size=(33, 33), seed=3)
STEPS = 5


def tiny(*settings: str) -> RunConfig:
    config = make_tiny_config("panoptic_deeplab_nano")
    config.model = replace(config.model, backbone="test_resnet", pretrained=False)
    config.augment.crop = config.evaluation_size = (33, 33)
    config.training = replace(config.training, steps=STEPS, effective_batch=2, validate_every=0.4, validation_images=2)
    return override(config, settings)


class Gone(ConnectionAbortedError):
    """The machine is gone: what Lightning would still do at the end of a process is not done."""


class At(Callback):
    """Does something in a hook, the ``nth`` time that it is called."""

    def __init__(self, hook: str, nth: int, act: Callable[[], None]) -> None:
        self.left, self.act = nth, act
        setattr(self, hook, self._count)

    def _count(self, *_: object, **__: object) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


def go_away() -> None:
    raise Gone


def run_of(config: RunConfig, run: Path, *callbacks: Callback, resume: bool = False) -> Path:
    return train(config, SCENES, SCENES, run, resume=resume, callbacks=callbacks)


def rows(run: Path) -> list[dict[str, float]]:
    """The rows of the log, without what a row does not have."""
    log = read_run_log(run)
    return [{k: v[i] for k, v in log.items() if not math.isnan(v[i])} for i in range(len(log["step"]))]


def assert_equal_runs(one: Path, other: Path) -> None:
    assert rows(one) == rows(other)
    for name in (WEIGHTS, LAST_WEIGHTS, LAST):
        a, b = load_checkpoint(one / name), load_checkpoint(other / name)
        assert (a.step, a.metric, a.value) == (b.step, b.metric, b.value)
        assert all(torch.equal(a.state[k], b.state[k]) for k in a.state) and a.state.keys() == b.state.keys()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without interruption; validated at steps 2, 4 and 5."""
    return run_of(tiny(), tmp_path_factory.mktemp("whole") / "run")


def test_a_run_is_validated_at_its_end_and_has_a_row_for_each_step(whole):
    assert [(row["step"], "val/pq" in row) for row in rows(whole)] == [
        (0, False), (1, False), (1, True), (2, False), (3, False), (3, True), (4, False), (4, True)
    ]  # fmt: skip
    assert load_checkpoint(whole, "last").step == STEPS == load_checkpoint(whole / LAST).step


@pytest.mark.parametrize(
    ("hook", "nth", "step"),
    [
        ("on_train_batch_end", 2, 0),  # nothing but the checkpoint of step 0
        ("on_validation_batch_end", 1, 2),  # within the first validation
        ("on_validation_epoch_end", 2, 4),  # at its end
        ("on_validation_batch_end", 6, 5),  # within the last, with all steps done
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole, tmp_path, hook, nth, step):
    run = tmp_path / "run"
    with pytest.raises(Gone):
        run_of(tiny(), run, At(hook, nth, go_away))
    assert load_checkpoint(run / LAST).step == step
    assert_equal_runs(run_of(tiny(), run, resume=True), whole)


def test_random_kills_give_the_same_weights_to_the_last_bit(whole, tmp_path):
    chance = random.Random(0)
    config = tiny("training.checkpoint_minutes=0.0")
    run, resume = tmp_path / "run", False
    for _ in range(3):
        hook = chance.choice(["on_train_batch_start", "on_train_batch_end", "on_validation_batch_end"])
        with suppress(Gone):
            run_of(config, run, At(hook, chance.randint(1, 3), go_away), resume=resume)
        resume = (run / LAST).exists()
    assert resume
    assert_equal_runs(run_of(config, run, resume=True), whole)


@pytest.mark.parametrize(
    ("number", "hook", "nth", "step"),
    [
        (signal.SIGINT, "on_train_batch_start", 1, 1),
        (signal.SIGTERM, "on_validation_batch_start", 1, 2),
        (signal.SIGTERM, "setup", 1, 0),
    ],
)
def test_a_signal_saves_and_says_where_it_goes_on(whole, tmp_path, capfd, number, hook, nth, step):
    run = tmp_path / "run"
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as told:
        run_of(tiny(), run, At(hook, nth, lambda: os.kill(os.getpid(), number)))
    assert told.value.code == 128 + number and signal.getsignal(number) is before
    assert load_checkpoint(run / LAST).step == step
    said = capfd.readouterr().err
    assert f"stopped after step {step} of {STEPS}, saved in {run / LAST}" in said
    assert f"`pantile train --resume --out {run}` goes on there" in said
    if step:
        run_of(tiny(), run, resume=True)
        assert f"going on after step {step} of {STEPS}, from {run / LAST}" in capfd.readouterr().err
        assert_equal_runs(run, whole)


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    child = os.fork()
    if not child:
        os.close(2)
        twice = [At("on_train_batch_start", 2, lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)])]
        try:
            run_of(tiny(), tmp_path / "run", *twice)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert load_checkpoint(tmp_path / "run" / LAST).step == 0


def test_a_damaged_checkpoint_is_told_and_the_one_before_goes_on(whole, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Gone):
        run_of(tiny("training.checkpoint_minutes=0.0"), run, At("on_train_batch_end", 4, go_away))
    assert load_checkpoint(run / PREVIOUS).step == 2
    with pytest.raises(Gone):  # a part of its own log, to which the run comes back
        run_of(tiny(), run, At("on_train_batch_end", 1, go_away), resume=True)
    content = (run / LAST).read_bytes()
    (run / LAST).unlink()
    (run / LAST).write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match="last.ckpt: cannot be read .*; previous.ckpt takes its place"):
        run_of(tiny("training.checkpoint_minutes=0.0"), run, resume=True)
    assert_equal_runs(run, whole)


def test_the_best_weights_are_the_later_of_equal_ones(tmp_path, monkeypatch):
    qualities = {"pq": iter([0.5, 0.5, 0.2]), "pq_things": iter([math.nan, math.nan, math.nan])}
    log = PanopticTask.log_dict

    def measured(task: PanopticTask, values: dict, **options: object) -> None:
        known = {f"val/{name}": torch.tensor(next(own)) for name, own in qualities.items() if "val/pq" in values}
        log(task, values | known, **options)

    monkeypatch.setattr(PanopticTask, "log_dict", measured)
    run = run_of(tiny(), tmp_path / "pq")
    best, last = load_checkpoint(run), load_checkpoint(run, "last")
    assert (best.step, best.metric, best.value, last.step) == (4, "pq", 0.5, 5)
    assert best.describe() == f"weights of step 4 of 5, PQ 50.0 (best validation): {run / WEIGHTS}"
    assert last.describe() == f"weights of step 5 of 5, PQ 20.0 (last): {run / LAST_WEIGHTS}"
    assert not all(torch.equal(best.state[k], last.state[k]) for k in best.state)
    qualities["pq"], qualities["pq_things"] = iter([1.0, 0.1, 0.2]), iter([math.nan, 0.3, math.nan])
    run = run_of(tiny("training.best_metric=pq_things"), tmp_path / "things")
    assert load_checkpoint(run).describe().startswith("weights of step 4 of 5, PQ things 30.0 (best")
    qualities["pq"], qualities["pq_things"] = iter([1.0, 0.1, 0.2]), iter([math.nan] * 3)
    run = run_of(tiny("training.best_metric=pq_things"), tmp_path / "none")
    assert load_checkpoint(run).describe().startswith("weights of step 5 of 5, not measured (best")


def test_a_run_without_validation_ends_with_its_last_weights(tmp_path):
    run, config = tmp_path / "run", tiny("training.validation_images=0", "training.steps=2")
    run_of(config, run)
    for name in (WEIGHTS, LAST_WEIGHTS):
        assert (load_checkpoint(run / name).step, load_checkpoint(run / name).value) == (2, None)
        (run / name).unlink()
    run_of(config, run, resume=True)  # as after a kill before they were written
    assert load_checkpoint(run).step == 2
    assert np.isnan(read_run_log(run).get("val/pq", np.nan)).all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.semantic_width=24", "the network is another: .* tensors differ, such as model.*"),
        ("optimizer.kind=sgd", "optimizer.kind was adamw, not sgd"),
        ("optimizer.learning_rate=0.123", "optimizer.learning_rate was .*, not 0.123"),
    ],
)
def test_settings_that_a_checkpoint_cannot_take_are_refused_and_leave_the_run_as_it_was(whole, setting, message):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=rf"cannot go on with these settings \({message}\): resume without them"):
        run_of(tiny(setting, f"training.steps={STEPS + 1}"), whole, resume=True)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_fewer_steps_than_are_done_are_refused(whole):
    with pytest.raises(UserError, match=f"training.steps is {STEPS - 1}, and the run has done {STEPS}"):
        run_of(tiny(f"training.steps={STEPS - 1}"), whole, resume=True)
