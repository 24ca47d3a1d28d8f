"""The commands of docs/ship.md are commands of this package; tests/export/test_export_files.py runs them."""

import re
import shlex
from pathlib import Path

import pytest

from pantile.cli.main import VERBS, make_parser

PAGE = Path(__file__).parents[2] / "docs" / "ship.md"
COMMANDS = re.findall(r"^    (pantile .+)$", PAGE.read_text(), re.M)


def test_there_are_commands():
    assert {command.split()[1] for command in COMMANDS} == {"export", "predict", "eval", "publish", "serve"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_taken(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, verb, *arguments = shlex.split(command)
    assert make_parser(verb).parse_args([verb, *arguments]).function.__module__ == f"pantile.cli.{verb}"


def test_every_option_on_the_page_is_one():
    options = set(re.findall(r"`(--[a-z-]+)", PAGE.read_text()))
    known = set()
    for verb in ("export", "predict", "eval", "publish", "serve"):
        assert verb in VERBS
        actions = make_parser(verb)._subparsers._group_actions[0].choices[verb]._actions
        known |= {option for action in actions for option in action.option_strings}
    assert options and options <= known
