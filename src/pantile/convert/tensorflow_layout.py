"""Layouts of TensorFlow's variables.

Kernels (kh, kw, in, out), of queries (1, in, out), depthwise (kh, kw, channel, 1), of an axis (in, out); vectors of
batch norms over several axes keep them. Ours are reshaped back; the order of the numbers is the same.
"""

import numpy as np
import torch
from torch import Tensor


def from_tensorflow(array: np.ndarray, shape: torch.Size) -> Tensor:
    """A variable as a tensor of ``shape``, in the variable's dtype.

    Raises:
        ValueError: another number of elements.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if len(shape) >= 3 or (len(shape) == 2 and tensor.ndim == 3):  # convolutions: channels come last there
        spatial = tuple(shape[2:])
        if shape[1] == 1 and tensor.ndim == 4 and tensor.shape[3] == 1 and tensor.shape[2] == shape[0]:  # depthwise
            return tensor.permute(2, 3, 0, 1).reshape(shape)
        tensor = tensor.reshape(*spatial, *tensor.shape[-2:])
        return tensor.permute(-1, -2, *range(len(spatial))).reshape(shape)
    return tensor.reshape(shape)


def to_tensorflow(tensor: Tensor, name: str) -> np.ndarray:
    """The inverse, in the layout that ``name`` has there; norms over several axes come flat."""
    leaf = name.rpartition("/")[2]
    if leaf == "depthwise_kernel":
        tensor = tensor.permute(2, 3, 0, 1)
    elif leaf == "qkv_kernel":
        tensor = tensor.flatten(1).T
    elif leaf == "kernel":
        tensor = tensor.permute(*range(2, tensor.ndim), 1, 0)
    elif leaf == "memory_feature":
        tensor = tensor.T[None]
    return tensor.detach().cpu().contiguous().numpy()
