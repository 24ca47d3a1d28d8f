"""What ``import pantile`` promises: names that exist, told in ``help(pantile)``, and known to type checkers."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pantile

ROOT = Path(pantile.__file__).parent
NAMES = [name for name in pantile.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_documented(name):
    assert (getattr(pantile, name).__doc__ or "").strip()


def test_help_tells_of_every_name():
    told = set(re.findall(r"\w+", pantile.__doc__))
    assert set(NAMES) <= told
    assert set(re.findall(r"pantile\.(\w+)", pantile.__doc__)) <= set(NAMES)


def test_the_stub_says_the_same():
    """Each name, from the module that ``pantile`` takes it from."""
    stub = {}
    for node in ast.parse((ROOT / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            stub |= {alias.asname: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Assign):
            stub[node.targets[0].id] = stub.pop(node.value.id)
    assert stub == {name: (home, pantile._RENAMED.get(name, name)) for name, home in pantile._HOME.items()}
    assert (ROOT / "py.typed").exists()


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'crate_model'"):
        pantile.crate_model  # noqa: B018


def test_importing_loads_nothing():
    loaded = "import pantile, sys; print([m for m in sys.modules if m.startswith(('torch', 'numpy', 'pantile.'))])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout.strip() == "[]"


def test_normalised_brings_the_mean_to_zero_and_one_deviation_to_one():
    model = pantile.create_model("maskformer_nano", 2)
    mean, std = torch.tensor(model.config.image_mean), torch.tensor(model.config.image_std)
    images = torch.stack([mean, mean + std], dim=1)[None, :, :, None].expand(2, 3, 2, 4)  # rows: mean, one deviation
    expected = torch.tensor([0.0, 1.0])[None, None, :, None].expand(2, 3, 2, 4)
    assert torch.allclose(model.normalised(images), expected, atol=1e-5)
    pixels = torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(model.normalised(pixels), model.normalised(pixels.float()))
