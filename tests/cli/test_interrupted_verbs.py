"""Ctrl-C and SIGTERM in any verb: 128 + the signal, advice that fits the verb, nothing half-written."""

import importlib
import os
import signal
from pathlib import Path

import pytest

from pantile.cli.main import VERBS, main
from pantile.data import Scenes, write_coco_panoptic


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_coco_panoptic(Scenes(3, size=(33, 33), seed=3), tmp_path / "data", "val")
    return tmp_path / "data"


def send(number: int):
    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)

    return interrupt


CASES = {
    "check": (
        ["data", "check", "DATA", "--workers", "1"],
        "pantile.labels.checks.pixels.CocoImage.check",
        "remembered",
    ),
    "convert": (
        ["data", "convert", "DATA", "OUT", "--from", "coco-panoptic", "--to", "png-pairs"],
        "shutil.copyfile",
        "nothing was written",
    ),
    "split": (["data", "split", "DATA", "OUT", "--split", "val"], "shutil.copyfile", "nothing was"),
    "score": (["score", "--gt", "JSON", "--pred", "JSON", "--json", "OUT"], "pantile.score.run.evidence_of", "nothing"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("case", CASES)
def test_the_verb_ends_with_advice_of_its_own(case, number, folder, tmp_path, monkeypatch, capsys):
    arguments, function, advice = CASES[case]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(function, send(number))
    names = {"DATA": folder, "OUT": tmp_path / "out", "JSON": folder / "annotations" / "panoptic_val.json"}
    before = signal.getsignal(number)
    assert main([str(names.get(word, word)) for word in arguments]) == 128 + number
    said = capsys.readouterr().err
    assert "pantile: interrupted; " in said and advice in said and "--resume" not in said
    assert signal.getsignal(number) is before
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "cache"}


def test_a_signal_that_is_ignored_stays_ignored(folder, monkeypatch, capsys):
    """As in background jobs of a shell, and under ``nohup``."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr("pantile.cli.models.run", send(signal.SIGINT))
        assert main(["models", "list"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_does_not_wait(monkeypatch):
    def clean_up_for_long(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(7)

    child = os.fork()
    if not child:
        os.close(2)
        monkeypatch.setattr("pantile.cli.models.run", clean_up_for_long)
        try:
            main(["models", "list"])
        finally:
            os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130


@pytest.mark.parametrize("verb", ["train", "demo", "predict", "bench", "eval"])
def test_verbs_that_leave_something_behind_say_what(verb):
    assert verb in VERBS and importlib.import_module(f"pantile.cli.{verb}").interrupted
