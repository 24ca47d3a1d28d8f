"""Which device a verb runs on, by the names of ``--device``."""

import re

import torch

from pantile.contracts.errors import UserError
from pantile.engine.processes import processes

AUTO = "auto"


def device_named(name: str = AUTO) -> torch.device:
    """
    Args:
        name: "auto" (a CUDA GPU where there is one, else the CPU), "cpu", "cuda", "cuda:1" and so on, or "mps".

    Raises:
        UserError: no such device, here or anywhere; or one number for several processes.
    """
    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if re.fullmatch(r"cpu|mps|cuda(:\d+)?", name) is None:
        raise UserError(f"--device {name}: no such device; choose from auto, cpu, cuda, cuda:0, cuda:1 ..., mps.")
    device = torch.device(name)
    usable = "here are: auto, " + ", ".join(_usable())
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"--device {name}: torch finds no Apple GPU on this machine; {usable}.")
    if device.type == "cuda" and not torch.cuda.is_available():
        why = "torch finds no CUDA GPU on this machine" if torch.backends.cuda.is_built() else "this torch has no CUDA"
        raise UserError(f"--device {name}: {why}; {usable}.")
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA GPU(s); {usable}.")
    if processes().total > 1 and (device.index is not None or device.type == "mps"):
        raise UserError(
            f"--device {name} is one device, and {processes().total} processes were started: give auto or cuda, which "
            "takes one GPU for each, or cpu."
        )
    return device


def _usable() -> list[str]:
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]
