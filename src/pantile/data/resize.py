"""Resizing: images with antialiased bilinear weights, id maps to the nearest pixel, on the same pixel centres."""

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pantile.contracts.placement import Placement

PAD_VALUE = 127  # grey, next to the mean of the input normalisation x / 127.5 - 1


def image_tensor(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 array to a (3, H, W) uint8 view of the same memory."""
    return torch.from_numpy(image if image.flags.writeable else image.copy()).permute(2, 0, 1)


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8 to (3, *size) uint8, antialiased bilinear (the filter of Pillow)."""
    if image.shape[-2:] == torch.Size(size):
        return image
    # the channels-last view of a decoded image keeps the fast kernel; it must be dense
    dense = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    return F.resize(dense, list(size), antialias=True)


def resize_ids(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) integers to ``size``, each output pixel taking the input pixel under its centre.

    torchvision's resize of a ``Mask`` uses the older "nearest" rule, which takes the corner instead of the centre and
    shifts labels by up to half a pixel against the image.
    """
    if ids.shape == tuple(size):
        return ids
    rows, columns = (_under_centres(full, new) for full, new in zip(ids.shape, size, strict=True))
    return ids.take(rows, axis=0).take(columns, axis=1)


def _under_centres(full: int, new: int) -> np.ndarray:
    return ((2 * np.arange(new) + 1) * full) // (2 * new)


def pad_bottom_right(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, h, w) uint8 to (3, *size) with ``PAD_VALUE`` to the right and below."""
    return F.pad(image, [0, 0, size[1] - image.shape[-1], size[0] - image.shape[-2]], fill=PAD_VALUE)


def fit_size(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of ``original``'s aspect within ``size``, rounded to whole pixels."""
    scale = min(size[0] / original[0], size[1] / original[1])
    height, width = (min(max(round(o * scale), 1), s) for o, s in zip(original, size, strict=True))
    return height, width


def fit_to(image: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Placement]:
    """Resizes an image to fit the network's input, keeping its aspect, and pads it at the bottom and right.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) of the network's input.

    Returns:
        (3, *size) uint8, and where the image lies in it.
    """
    original = image.shape[0], image.shape[1]
    content = fit_size(original, size)
    resized = resize_image(image_tensor(image), content)
    return pad_bottom_right(resized, size), Placement(padded=tuple(size), content=content, original=original)
