"""Pixels as an exported network takes them, with Pillow: resized, padded, channels first."""

import numpy as np
from PIL import Image

from pantile.contracts.placement import Placement

PAD_VALUE = 127  # never seen: the network gets 0 there, or what its config pads with


def network_input(image: np.ndarray, placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, C) uint8 to (1, C, *padded) uint8 and (1, *padded) bool, true where there is no image."""
    height, width = placement.content
    resized = resize_image(image, placement.content)
    images = np.full((1, image.shape[2], *placement.padded), PAD_VALUE, np.uint8)
    images[0, :, :height, :width] = resized.transpose(2, 0, 1)
    padding = np.ones((1, *placement.padded), bool)
    padding[0, :height, :width] = False
    return images, padding


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) uint8 to (*size, C), antialiased bilinear."""
    if image.shape[:2] == size:
        return image
    height, width = size
    if image.shape[2] == 3:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    bands = (Image.fromarray(np.ascontiguousarray(image[:, :, band])) for band in range(image.shape[2]))
    return np.stack([np.asarray(b.resize((width, height), Image.Resampling.BILINEAR)) for b in bands], axis=2)
