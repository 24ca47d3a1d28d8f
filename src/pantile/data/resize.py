"""Resizing: images with antialiased bilinear weights, id maps to the nearest pixel, on the same pixel centres."""

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pantile.contracts.placement import Placement
from pantile.data.fit import FitConfig, fit_placement

#: what padding looks like. Networks never see it: they get 0 there, after the normalisation (``normalise``)
PAD_VALUE = 127


def image_tensor(image: np.ndarray) -> Tensor:
    """(H, W, C) uint8 array to a (C, H, W) uint8 view of the same memory."""
    return torch.from_numpy(image if image.flags.writeable else image.copy()).permute(2, 0, 1)


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) uint8 to (C, *size) uint8, antialiased bilinear (the filter of Pillow)."""
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
    # whole rows are copied fast, columns pixel by pixel: so columns are taken where there are fewer rows
    if len(rows) > ids.shape[0]:
        return ids.take(columns, axis=1).take(rows, axis=0)
    return ids.take(rows, axis=0).take(columns, axis=1)


def _under_centres(full: int, new: int) -> np.ndarray:
    return ((2 * np.arange(new) + 1) * full) // (2 * new)


def pad_bottom_right(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) to (C, *size) with ``PAD_VALUE`` to the right and below."""
    return F.pad(image, [0, 0, size[1] - image.shape[-1], size[0] - image.shape[-2]], fill=PAD_VALUE)


def fit_to(image: np.ndarray, size: tuple[int, int] | FitConfig) -> tuple[Tensor, Placement]:
    """Resizes an image for the network's input, keeping its aspect, and pads it at the bottom and right.

    Args:
        image: (H, W, C) uint8.
        size: (height, width) of the network's input, or a rule by which every image gets a size of its own.

    Returns:
        (C, *padded) uint8, and where the image lies in it.
    """
    placement = fit_placement((image.shape[0], image.shape[1]), size)
    resized = resize_image(image_tensor(image), placement.content)
    return pad_bottom_right(resized, placement.padded), placement
