"""``test_bad_input`` for the formats of annotation tools: one sentence or a complete target, never a traceback."""

import os
import random
import shutil
import warnings

import pytest

from labels.test_bad_input import corrupt, fingerprint
from labels.tiny_labels import run
from labels.tool_folders import TOOL_FOLDERS
from pantile.contracts.errors import UserError
from time_limit import within

CASES_PER_FORMAT = 20


@pytest.mark.parametrize("source", TOOL_FOLDERS)
def test_corrupted_input(source, tmp_path):
    rng = random.Random(f"{source} 7")
    outcomes = {"refused": 0, "converted": 0}
    TOOL_FOLDERS[source](tmp_path / "good")
    for case in range(CASES_PER_FORMAT):
        room = tmp_path / f"case{case}"
        shutil.copytree(tmp_path / "good", room / "src")
        corrupt(room / "src", rng)
        before = fingerprint(room)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(room / "src", room / "dst", source, overlap=rng.choice(["last-on-top", "smaller-on-top"]))
        except UserError as error:
            sentence = str(error)
            assert "\n" not in sentence and len(sentence) < 1000, sentence
            assert str(room) in sentence, sentence
            assert fingerprint(room) == before
            outcomes["refused"] += 1
            continue
        after = fingerprint(room)
        assert {name: digest for name, digest in after.items() if not name.startswith("dst")} == before
        outcomes["converted"] += 1
        shutil.rmtree(room)
    assert outcomes["refused"] > CASES_PER_FORMAT // 4 and outcomes["converted"] > 1, outcomes


@pytest.mark.parametrize("source", ["label-studio", "supervisely", "datumaro", "object-masks"])
def test_pipes_are_refused_and_not_waited_for(source, tmp_path):
    src = tmp_path / "src"
    TOOL_FOLDERS[source](src)
    for path in sorted(p for p in src.rglob("*") if p.is_file()):
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with within(5), pytest.raises(UserError) as told:
            run(src, tmp_path / "dst", source, overlap="last-on-top")
        assert path.name in str(told.value), told.value
        path.unlink()
        path.write_bytes(content)
