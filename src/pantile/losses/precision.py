"""Losses are computed in float32 whatever precision the network runs in."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def in_float32(function: Callable) -> Callable:
    """Runs ``function`` with autocast off and half-precision tensor arguments cast to float32.

    float64 is left alone, so that gradients can be checked numerically.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args = [_widen(a) for a in args]
        kwargs = {name: _widen(a) for name, a in kwargs.items()}
        device = next((a.device.type for a in [*args, *kwargs.values()] if isinstance(a, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return wrapped


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
