"""Rounding up, in Python and in a graph."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pantile
from pantile.layers.rounding import ceil_div

SOURCE = Path(pantile.__file__).parent
TRACED = ("backbones", "layers", "models", "techniques")  # rooms whose code becomes a graph


@pytest.mark.parametrize("step", [1, 4, 32])
def test_it_is_the_least_number_that_is_enough(step):
    for length in range(130):
        found = ceil_div(length, step)
        assert found * step >= length > (found - 1) * step


def test_a_graph_of_onnx_rounds_alike(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")

    class Quarter(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_ones(1, ceil_div(x.shape[1], 4))

    dynamic = {"x": {1: torch.export.Dim("n", min=5, max=1000)}}
    program = torch.export.export(Quarter(), (torch.zeros(1, 9),), dynamic_shapes=dynamic, strict=False)
    path = str(tmp_path / "quarter.onnx")
    torch.onnx.export(program, (), dynamo=True, opset_version=20, optimize=False, verbose=False).save(path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for length in range(5, 14):
        (found,) = session.run(None, {"x": np.zeros((1, length), np.float32)})
        assert found.shape[1] == ceil_div(length, 4)


@pytest.mark.parametrize("room", TRACED)
def test_nothing_that_is_traced_rounds_up_by_negative_numbers(room):
    """Which graphs of ONNX round towards zero; see ``ceil_div``."""
    found = [
        path.name for path in (SOURCE / room).rglob("*.py") if re.search(r"(?<!`)-\(-[\w.\[\]]+ //", path.read_text())
    ]
    assert found == []
