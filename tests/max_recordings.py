"""Recordings of deeplab2's building blocks (``maxdeeplab_blocks`` below PANTILE_TEST_DATA; its README has the
rules)."""

import functools
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pantile.convert.deeplab2_names import tensorflow_names
from pantile.convert.tensorflow_layout import from_tensorflow

MODES = ("eval", "train", "train_drop")


@functools.cache
def recording(name: str) -> dict[str, np.ndarray]:
    root = os.environ.get("PANTILE_TEST_DATA")
    path = Path(root or "/") / "maxdeeplab_blocks" / f"{name}.npz"
    if root is None or not path.is_file():
        pytest.skip("PANTILE_TEST_DATA has no maxdeeplab_blocks")
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def channels_first(array: np.ndarray) -> Tensor:
    """(B, h, w, C) or (B, L, C) in float64, channels second."""
    return torch.from_numpy(array.astype(np.float64)).movedim(-1, 1)


class Masked(nn.Module):
    """In place of a drop path: the recorded mask."""

    def __init__(self, mask: np.ndarray):
        super().__init__()
        self.mask = channels_first(mask)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask.reshape(len(x), *[1] * (x.ndim - 1))


def cotangent(key: str, output: str, like: np.ndarray) -> Tensor:
    state = np.random.RandomState(zlib.crc32(f"cotangent/{key}/{output}".encode()) & 0x7FFFFFFF)
    return channels_first(state.standard_normal(like.shape).astype(np.float32))


def load(module: nn.Module, names: dict[str, str], weights: dict[str, np.ndarray]) -> None:
    """Into a float64 module; every tensor but counters must be there, and every weight must be used."""
    module.double()
    state = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert set(state) == set(names), set(state) ^ set(names)
    assert set(names.values()) == set(weights), set(names.values()) ^ set(weights)
    loaded = {ours: from_tensorflow(weights[theirs], state[ours].shape).double() for ours, theirs in names.items()}
    module.load_state_dict(loaded, strict=False)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eps, part.momentum = 1e-3, 0.01


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert actual.shape == expected.shape
    scale = max(expected.abs().max().item(), 1e-5)
    assert (actual - expected).abs().max().item() <= tolerance * scale


def assert_variance_moved(actual: Tensor, theirs: Tensor, before: Tensor) -> None:
    """There running variances take the biased variance of the batch, in torch n / (n - 1) times that: one factor per
    batch norm, of a whole number n of values."""
    biased, unbiased = ((after - 0.99 * before) / 0.01 for after in (theirs, actual))
    factor = (unbiased * biased).sum() / biased.square().sum()
    close(unbiased, factor * biased)
    count = (factor / (factor - 1)).item()
    assert count == pytest.approx(round(count), rel=1e-3) and count > 1.5


def assert_case(file: str, case: str, make, names=None, drop: dict[str, str] | None = None, run=None) -> None:
    """Outputs, gradients and moving statistics of all modes of a case.

    Args:
        make: makes the module.
        names: of the module's tensors -> variables below the case; by default ``tensorflow_names``.
        drop: our drop path -> the name of its recorded mask.
        run: (module, inputs by name) -> outputs in the order of their recorded names.
    """
    data = recording(file)
    weights = {k.split("|")[2].partition("/")[2]: v for k, v in data.items() if k.startswith(f"{case}|weight|")}
    for mode in (m for m in MODES if any(k.startswith(f"{case}|{m}|") for k in data)):
        module = make()
        table = names(module) if names else dict(tensorflow_names(module, ""))
        load(module, table, weights)
        module.train(mode != "eval")
        if mode == "train_drop":
            for ours, theirs in drop.items():
                owner, _, leaf = ours.rpartition(".")
                setattr(module.get_submodule(owner), leaf, Masked(data[f"{case}|{mode}|input|{theirs}"]))
        inputs = {
            k.split("|")[2]: channels_first(v).requires_grad_()
            for k, v in data.items()
            if k.startswith(f"{case}|input|")
        }
        outputs = run(module, inputs) if run else [module(*inputs.values())]
        recorded = {k.split("|")[3]: v for k, v in data.items() if k.startswith(f"{case}|{mode}|output|")}
        total = 0.0
        for output, (name, expected) in zip(outputs, recorded.items(), strict=True):
            close(output, channels_first(expected))
            total = total + (output * cotangent(case, name, expected)).sum()
        total.backward()
        for name, tensor in inputs.items():
            close(tensor.grad, channels_first(data[f"{case}|{mode}|grad_input|{name}"]))
        parameters, state = dict(module.named_parameters()), module.state_dict()
        for ours, theirs in table.items():
            grad = data.get(f"{case}|{mode}|grad_weight|{case}/{theirs}")
            if grad is not None:
                found = parameters[ours].grad
                found = torch.zeros_like(parameters[ours]) if found is None else found
                close(found, from_tensorflow(grad, found.shape))
            moved = data.get(f"{case}|{mode}|after|{case}/{theirs}")
            if moved is None:
                continue
            expected = from_tensorflow(moved, state[ours].shape)
            if theirs.endswith("moving_mean"):
                close(state[ours], expected)
            elif theirs.endswith("moving_variance"):
                before = from_tensorflow(weights[theirs], expected.shape)
                assert_variance_moved(state[ours], expected.double(), before.double())
