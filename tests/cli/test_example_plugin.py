"""The package in ``examples/``, installed beside Pantile: its parts train, and are named where it is not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pantile.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "pantile_example"

FLOW = """
from pantile.cli.main import main

def call(*arguments):
    print("==", arguments[0], flush=True)
    print("== code", main(list(arguments)), flush=True)

import pantile
print("== missing", pantile.check_model("tiny_queries_nano", round_trips=False))
call("models", "matrix")
settings = ["techniques.label_smoothing.amount=0.1", "training.steps=2", "training.effective_batch=2"]
settings += ["training.workers=0", "training.validation_images=1"]
settings += ["augment.crop=[64,64]", "evaluation_size=[64,64]"]
call("train", "tiny_queries_nano", "--data", "scenes:8", "--out", "run", "--set", *settings)
call("eval", "run", "--data", "scenes:1")
call("report", "run", "--limit", "1", "--images", "1")
"""


@pytest.mark.slow
def test_the_example_is_found_trains_and_is_named_where_it_is_not_installed(tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", target, source], check=True)

    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    flow = subprocess.run(
        [sys.executable, "-c", FLOW],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed = flow.stdout
    assert printed.count("== code 0\n") == 4, printed
    assert "== missing []\n" in printed
    head, *rows = printed.partition("== models\n")[2].splitlines()
    assert "label_smoothing" in head.split() and any(row.startswith("tiny_queries ") for row in rows)
    run = tmp_path / "run"
    used = "pantile-example 0.1.0: architecture 'tiny_queries', technique 'label_smoothing'"
    assert used in (run / "config.yaml").read_text()
    assert (run / "report.html").stat().st_size > 10_000

    needs = "needs parts of packages that are not installed: pantile-example 0.1.0 (architecture 'tiny_queries'"
    for command in (["eval", str(run), "--data", "scenes:1"], ["train", "--resume", "--out", str(run)]):
        assert main(command) == 2
        assert needs in capsys.readouterr().err
    assert main(["train", "tiny_queries_nano", "--data", "scenes:8", "--out", str(tmp_path / "other")]) == 2
    assert "There is no recipe 'tiny_queries_nano'" in capsys.readouterr().err
