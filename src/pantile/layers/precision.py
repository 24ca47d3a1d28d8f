"""Where half precision must not be trusted."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; float32 and float64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def autocast_off(device: torch.device) -> AbstractContextManager:
    """Inside, operations keep the dtype of their inputs; nothing to do on devices without autocast, such as meta."""
    kind = device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
