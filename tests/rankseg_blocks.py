"""Recorded numbers of the original Segmenter and RankSeg code, and the rule by which their weights are made.

The folder's README has the rule; no weight is stored.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class Recording:
    """One pair of files.

    Attributes:
        told: the content of the JSON.
        arrays: by name.
    """

    def __init__(self, folder: Path, name: str):
        self.told = json.loads((folder / "rankseg_blocks" / f"{name}.json").read_text())
        with np.load(folder / "rankseg_blocks" / f"{name}.npz") as content:
            self.arrays = {key: torch.from_numpy(content[key]) for key in content.files}

    def __getitem__(self, name: str) -> Tensor:
        """An array; floats in double precision."""
        array = self.arrays[name]
        return array.double() if array.is_floating_point() else array

    def state(self) -> dict[str, Tensor]:
        """The original's state dict in double precision, of float32 values."""
        return {name: made_array(name, shape) for name, shape in self.told["state_dict"].items()}


def made_array(name: str, shape: list[int]) -> Tensor:
    """The original's tensor of this name in its state dict."""
    generator = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if last == "running_var":
        values = generator.uniform(0.5, 1.5, shape)
    elif last in ("running_mean", "bias"):
        values = 0.1 * generator.standard_normal(shape)
    elif len(shape) <= 1:
        values = generator.uniform(0.5, 1.5, shape)
    elif "rpe" in name or "cluster_centers" in name or "embed" in last:
        values = generator.standard_normal(shape)
    else:
        values = generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values).astype(np.float32).astype(np.float64))
