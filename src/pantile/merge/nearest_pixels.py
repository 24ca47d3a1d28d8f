"""The way of ids from the network's input to the image, by nearest pixels."""

import numpy as np

from pantile.contracts.placement import Placement


def corners_aligned(placement: Placement) -> bool:
    """Inputs of 32k+1 pixels keep corners aligned at every stride; the references go by the parity of the width."""
    return placement.padded[1] % 2 == 1


def ids_to_original(ids: np.ndarray, placement: Placement) -> np.ndarray:
    """Padded input -> crop to the content -> original size, to the nearest pixel."""
    aligned = corners_aligned(placement)
    rows, columns = (
        _nearest(content, original, aligned)
        for content, original in zip(placement.content, placement.original, strict=True)
    )
    return ids[rows[:, None], columns]


def to_original(values: np.ndarray, placement: Placement) -> np.ndarray:
    """What was decided on the padded input, cropped and taken to the original size by nearest pixels."""
    if placement.content == placement.original:
        return np.ascontiguousarray(values[: placement.content[0], : placement.content[1]])
    return ids_to_original(values, placement)


def _nearest(source: int, target: int, aligned: bool) -> np.ndarray:
    """(target,) index of the source pixel, halves rounded up; whole-number arithmetic, so ties are exact."""
    steps = np.arange(target)
    if not aligned:
        return (2 * steps + 1) * source // (2 * target)
    if target == 1:
        return steps
    return (2 * steps * (source - 1) + target - 1) // (2 * (target - 1))
