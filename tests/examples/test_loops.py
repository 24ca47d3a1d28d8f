"""The loops in ``examples/``: a few steps of each, and the one in the README is the file."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PLAIN = ROOT / "examples" / "plain_loop.py"


def test_the_readme_shows_the_plain_loop():
    code = PLAIN.read_text()
    assert f"```python\n{code}```" in (ROOT / "README.md").read_text()
    assert len(code.splitlines()) <= 40


def test_the_plain_loop_learns(capsys):
    """Stuff within a few steps; all 200 take the better part of a minute and reach PQ 90."""
    source = PLAIN.read_text()
    assert source.count("200") == 2
    namespace: dict = {}
    torch.manual_seed(0)
    exec(compile(source.replace("200", "16"), PLAIN, "exec"), namespace)
    assert capsys.readouterr().out.startswith("PQ ")
    assert namespace["metric"].compute().stuff.pq > 0.4


@pytest.mark.parametrize("name", ["lightning_loop", "accelerate_loop"])
def test_a_few_steps_in_other_loops(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    quality = module.main(steps=2, images=4)
    assert math.isnan(quality) or 0 <= quality <= 1
