"""What verbs import: those that run no network start without torch, the others without transformers."""

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from pantile.cli.data import SUBVERBS
from pantile.cli.lean_imports import import_torchmetrics
from pantile.cli.main import VERBS
from pantile.data import Scenes, write_coco_panoptic

#: each is run by ``main`` in one process, which ends where one of them has imported torch
SCRIPT = """
import contextlib, io, sys
from pantile.cli.main import main

for line in sys.stdin.read().splitlines():
    code, *arguments = line.split("\\t")
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            given = main(arguments)
        except SystemExit as end:
            given = end.code
    if given != int(code) or "torch" in sys.modules:
        sys.exit(f"{arguments}: {given}, torch {'torch' in sys.modules}: {told.getvalue()}")
"""


def run_all(commands: list[tuple[int, str]]) -> None:
    lines = "\n".join("\t".join([str(code), *command.split()]) for code, command in commands)
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes in COCO-panoptic layout."""
    folder = tmp_path_factory.mktemp("lean") / "scenes"
    write_coco_panoptic(Scenes(2, size=(33, 33), seed=1), folder, "train")
    return folder


def test_verbs_that_run_no_network_do_not_import_torch(folder: Path, tmp_path: Path):
    labels = f"{folder}/annotations/panoptic_train.json"
    run_all(
        [
            (0, "models list"),
            (0, "models list --markdown"),
            (2, "models list misspelt"),
            (0, f"data check {folder} --fix {tmp_path}/repaired --workers 1"),
            (0, f"data stats {folder} --json {tmp_path}/stats.json --pixels"),
            (0, f"data split {folder} {tmp_path}/split --val 0.5"),
            (0, f"data show {folder} --out {tmp_path}/show"),
            (0, f"data convert {folder} {tmp_path}/cityscapes --from coco-panoptic --to png-pairs --split train"),
            (0, f"score --gt {labels} --pred {labels} --workers 1 --json {tmp_path}/score.json"),
            (2, f"data convert {folder} {tmp_path}/new --from misspelt --to coco-panoptic"),
            (2, f"data stats {folder} --split misspelt"),
            (2, f"data show {folder} --recipe misspelt"),
            (2, "train misspelt --data scenes"),
            (2, f"eval run --data {folder} --split misspelt"),
        ]
    )


def test_help_imports_no_torch():
    verbs = [*VERBS, *(f"data {name}" for name in SUBVERBS)]
    run_all([(0, "--help"), (0, "--version"), *((0, f"{verb} --help") for verb in verbs)])


def test_python_dash_m_lists_recipes_without_numpy():
    command = [sys.executable, "-X", "importtime", "-m", "pantile", "models", "list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "kmax_nano" in [line.split()[0] for line in done.stdout.splitlines()]
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert "pantile.recipes.kmax" in imported and "numpy" not in imported


def test_torchmetrics_looks_for_no_transformers(monkeypatch: pytest.MonkeyPatch):
    seen = {}

    def look(name: str) -> None:
        seen[name] = importlib.metadata.version("torch")
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version("transformers")

    before = importlib.metadata.distribution
    monkeypatch.setattr(importlib, "import_module", look)
    import_torchmetrics()
    assert seen == {"torchmetrics": before("torch").version}
    assert importlib.metadata.distribution is before
