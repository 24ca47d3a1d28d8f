"""Where half precision must not be trusted."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; every other dtype stays, float64 so that gradients can be checked."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def autocast_off(device: torch.device) -> AbstractContextManager:
    """Inside, operations keep the dtype of their inputs; nothing to do on devices without autocast, such as meta."""
    kind = device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def in_float32(function: Callable) -> Callable:
    """Runs ``function`` with autocast off and half-precision tensor arguments as float32: losses and other sums over
    many pixels are computed so, whatever the precision of the network."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args = [at_least_float32(a) if isinstance(a, Tensor) else a for a in args]
        kwargs = {name: at_least_float32(a) if isinstance(a, Tensor) else a for name, a in kwargs.items()}
        device = next((a.device for a in [*args, *kwargs.values()] if isinstance(a, Tensor)), torch.device("cpu"))
        with autocast_off(device):
            return function(*args, **kwargs)

    return wrapped
