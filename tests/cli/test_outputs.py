"""What the system refuses is one sentence in every verb, told before the work; a reader who goes away ends it."""

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_command_line import refused

from pantile.cli.main import VERBS, main, make_parser
from pantile.cli.output_arguments import output_file, output_folder
from pantile.contracts.errors import UserError
from pantile.contracts.output_paths import check_file_target, check_folder_target, telling

#: names of arguments that are places to write to, in every verb that has one
OUTPUTS = {"out", "json", "confused", "fix", "dst"}


def parsers(parser: argparse.ArgumentParser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                if any(not isinstance(own, argparse._HelpAction) for own in sub._actions):
                    yield from parsers(sub)


@pytest.mark.parametrize("verb", VERBS)
def test_every_output_is_checked_as_the_command_line_is_read(verb):
    """A new argument that names a place to write to has a type that asks whether it can be written."""
    for parser in parsers(make_parser(verb)):
        for action in parser._actions:
            if action.dest in OUTPUTS and not isinstance(action, argparse._StoreTrueAction):
                assert action.type in (output_file, output_folder), (parser.prog, action.dest)
                assert not isinstance(action.default, Path), "the type checks a default that is text"


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "file"
    path.write_text("mine")
    return path


COMMANDS = {
    "demo": ["demo", "--out"],
    "train": ["train", "remax_nano", "--data", "scenes:4", "--out"],
    "eval": ["eval", "absent", "--data", "scenes:4", "--json"],
    "eval pictures": ["eval", "absent", "--data", "scenes:4", "--confused"],
    "score": ["score", "--gt", "absent", "--pred", "absent", "--json"],
    "check": ["data", "check", "absent", "--json"],
    "check --fix": ["data", "check", "absent", "--fix"],
    "convert labels": ["data", "convert", "absent", "--from", "yolo-seg"],
    "show": ["data", "show", "scenes:4", "--out"],
    "stats": ["data", "stats", "scenes:4", "--json"],
    "split": ["data", "split", "absent"],
    "predict": ["predict", "absent", "absent.png", "--out"],
    "report": ["report", "absent", "--out"],
    "bench": ["bench", "grid", "--space", "fast", "--out"],
    "convert": ["convert", "mask2former", "absent.pkl", "--out"],
    "export": ["export-hf", "absent", "--out"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_places_that_cannot_be_written_are_told_before_the_work(command, file, capsys, monkeypatch):
    """Where the inputs are missing as well: it is the output that is told, so nothing was looked at before."""
    monkeypatch.chdir(file.parent)
    for target in (file / "below.json", file / "a" / "b", Path("x" * 300), Path("a") / ("é" * 200)):
        assert str(target) in refused(capsys, [*command, target])
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_files_and_folders_are_not_taken_for_each_other(tmp_path, file):
    for check, path in (
        (check_file_target, tmp_path),
        (check_folder_target, file),
        (check_file_target, Path(os.devnull)),
    ):
        with pytest.raises(UserError, match=str(path)):
            check(path)
    assert check_file_target(file) == file and check_folder_target(tmp_path) == tmp_path
    assert check_folder_target(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_full_and_read_only_disks_are_told_before_the_work(number, tmp_path, capsys, monkeypatch):
    from pantile.contracts import output_paths

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(output_paths.tempfile, "TemporaryFile", refuse)
    for command in (["data", "stats", "scenes:4", "--json"], ["data", "show", "scenes:4", "--out"]):
        assert os.strerror(number) in refused(capsys, [*command, tmp_path / "x"])


def test_a_disk_that_fills_up_during_the_work(tmp_path, capsys, monkeypatch):
    """The system's error of a write has no name; the sentence has."""

    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    for command, name in (
        (["data", "stats", "scenes:2", "--json", tmp_path / "x.json"], "x.json"),
        (["data", "show", "scenes:2", "--images", "1", "--out", tmp_path / "show"], "index.html"),
    ):
        message = refused(capsys, command)
        assert name in message and "No space left" in message
        assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob(".*"))


def test_libraries_with_words_of_their_own_for_a_full_disk(tmp_path):
    import torch

    from pantile.convert.foreign_file import write_state

    with pytest.raises(UserError, match="x cannot be written"), telling(Path("x"), RuntimeError):
        raise RuntimeError("[enforce fail] unexpected pos 576 vs 534\nmore")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match=r"m\.pth cannot be written"):
        patch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(RuntimeError("unexpected pos")))
        write_state(tmp_path / "m.pth", {"a": torch.zeros(2)})


def test_mistakes_of_the_program_keep_their_traceback(monkeypatch):
    for error in (
        ZeroDivisionError(),
        OSError("cannot write mode F as PNG"),
        BrokenPipeError(errno.EPIPE, "a worker's"),
    ):

        def fail(_, error=error):
            raise error

        monkeypatch.setattr("pantile.cli.models.run", fail)
        if isinstance(error, BrokenPipeError):
            assert main(["models", "list"]) == 2  # the system's word, and no reader of ours is gone
            continue
        with pytest.raises(type(error)):
            main(["models", "list"])


@pytest.mark.parametrize("command", ["models list", "models fields", "data stats scenes:2", "data show scenes:1"])
def test_a_reader_that_goes_away_ends_a_verb_quietly(command, monkeypatch, tmp_path, capfd):
    """As in ``pantile models list | head -1``, where the pipe is closed before all is written."""
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=True) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        try:
            assert main(command.split()) == 141
        except SystemExit as end:  # of rich, which notices by itself
            assert end.code == 1
    assert "Traceback" not in capfd.readouterr().err


def test_help_into_a_closed_pipe_and_the_end_of_the_interpreter():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pantile.cli.main", "--help"]
    run = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert run.stderr == b""


def test_sizes_and_counts_without_pixels_are_refused(capsys):
    for arguments in (["--size", "0x0"], ["--size", "-1x64"], ["--size", "641"], ["--classes", "0"]):
        with pytest.raises(SystemExit) as end:
            main(["models", "info", "remax_nano", *arguments])
        assert end.value.code == 2
        assert "Traceback" not in capsys.readouterr().err
