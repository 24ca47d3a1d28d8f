"""Images in memory: arrays and tensors of either layout, alone or as a batch, become (H, W, C) uint8 arrays."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_FLOATS = "(image * 255).round() as uint8 where its values are 0..1; do not normalise, the model does"


def is_tensor(image: Any) -> bool:
    """Whether it is a tensor of torch, which is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def is_batch(image: Any) -> bool:
    """A list or tuple of images, or an array or tensor of four dimensions."""
    return isinstance(image, list | tuple) or ((isinstance(image, np.ndarray) or is_tensor(image)) and image.ndim == 4)


def array_pixels(image: "np.ndarray | Tensor", channels: int) -> np.ndarray:
    """(H, W, channels) uint8 of one image.

    The channels are the last axis of an array and the first of a tensor, as numpy's and torch's image functions have
    them; the other way round where only that has the right number of channels.

    Raises:
        UserError: other numbers than uint8, another number of axes or channels, or no pixel.
    """
    first = is_tensor(image)
    kind = "tensor" if first else "array"
    numbers = str(image.dtype).removeprefix("torch.")
    shape = tuple(image.shape)
    wanted = f"({channels}, H, W)" if first else f"(H, W, {channels})"
    colours = " RGB" if channels == 3 else ""
    if numbers != "uint8":
        remedy = f", for example {_FLOATS}" if "float" in numbers else ""
        raise UserError(f"The image {kind} is {numbers} {shape}: give {wanted} uint8{colours}, 0..255{remedy}.")
    axes = [axis for axis in ((0, 2) if first else (2, 0)) if len(shape) == 3 and shape[axis] == channels]
    if not axes or not min(shape):
        raise UserError(f"The image {kind} is {numbers} {shape}: give {wanted} uint8{colours}.")
    if first:
        image = image.detach().cpu().numpy()
    return np.ascontiguousarray(image if axes[0] == 2 else image.transpose(1, 2, 0))


def kind_of(image: Any) -> str:
    """For messages."""
    if isinstance(image, Sequence):
        return f"a {type(image).__name__} of {len(image)}"
    return f"of type {type(image).__module__}.{type(image).__qualname__}".replace("builtins.", "")
