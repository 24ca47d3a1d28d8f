"""Values of pixels replaced by others, each distinct value once."""

from collections.abc import Callable

import numpy as np


def relabelled(values: np.ndarray, id_of: Callable[[int], int]) -> np.ndarray:
    """(H, W) integers to (H, W) int32. Neighbours along a row nearly always carry the same value, so only where it
    changes is it looked up."""
    flat = values.reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True][: flat.size], flat[1:] != flat[:-1]]))
    present, which = np.unique(flat[starts], return_inverse=True)
    ids = np.array([id_of(value) for value in present.tolist()], np.int32)
    return np.repeat(ids[which.reshape(-1)], np.diff(starts, append=flat.size)).reshape(values.shape)
