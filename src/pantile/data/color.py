"""Colour augmentation: the SSD jitter and the five-pair AutoAugment policy. Labels are never touched.

Both are pointwise (but for Sharpness), take and give (C, H, W) uint8, and draw every number from ``rng``. Saturation
and hue exist in RGB only: they leave images of other numbers of channels alone, and every other operation acts on each
of their channels as if it were a grey image.
"""

from functools import cache

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image, ImageFilter
from torch import Tensor

from pantile.data.resize import image_tensor

BRIGHTNESS_SHIFT = 32.0  # grey levels
CONTRAST_RANGE = (0.5, 1.5)
SATURATION_RANGE = (0.5, 1.5)
HUE_SHIFT = 18 / 180  # of the full circle: 18 of OpenCV's 180 hue steps
JITTER_PROBABILITY = 0.5  # of each of the four
CUBE_SIDE = 33  # corners per axis of the colour cube: cells of 8 levels

# (operation, probability, magnitude out of 10); one pair is drawn, both of its operations are tried in order
POLICY = (
    (("sharpness", 0.4, 7), ("brightness", 0.2, 10)),
    (("equalize", 0.0, 9), ("contrast", 0.2, 10)),
    (("sharpness", 0.2, 9), ("saturation", 0.2, 9)),
    (("solarize", 0.2, 7), ("equalize", 0.6, 9)),
    (("sharpness", 0.2, 1), ("equalize", 0.2, 7)),
)


def ssd_jitter(image: Tensor, rng: np.random.Generator) -> Tensor:
    """The photometric distortion of SSD (Liu et al. 2016) as kMaX-DeepLab uses it.

    Brightness is added, contrast multiplies raw values (before or after the rest, by coin), saturation and hue
    act in HSV; each happens with probability 1/2 and clips to 0..255.
    """
    happens = rng.random(4) < JITTER_PROBABILITY
    happens[2:] &= _is_rgb(image)
    contrast_first = rng.random() < 0.5
    shift = rng.uniform(-BRIGHTNESS_SHIFT, BRIGHTNESS_SHIFT) if happens[0] else 0.0
    contrast = rng.uniform(*CONTRAST_RANGE) if happens[1] else 1.0
    saturation = rng.uniform(*SATURATION_RANGE) if happens[2] else 1.0
    hue = rng.uniform(-HUE_SHIFT, HUE_SHIFT) if happens[3] else 0.0

    def distort(levels: np.ndarray) -> np.ndarray:
        levels = (levels + shift).clip(0, 255)
        if contrast_first:
            levels = (levels * contrast).clip(0, 255)
        if happens[2] or happens[3]:
            levels = change_hsv(levels, hue, saturation)
        return levels if contrast_first else (levels * contrast).clip(0, 255)

    if not happens.any():
        return image
    if not _is_rgb(image):
        return torch.from_numpy(np.rint(distort(np.arange(256.0))).astype(np.uint8)[image.numpy()])
    picture = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    if happens[2] or happens[3]:
        # one pass through a colour cube instead of two conversions; the distortion is nearly linear within a cell
        cube = (distort(_cube()) / 255).astype(np.float32)
        picture = picture.filter(ImageFilter.Color3DLUT(CUBE_SIDE, cube.T.ravel(), target_mode="RGB"))
    else:
        picture = picture.point(np.rint(distort(np.arange(256.0))).astype(int).tolist() * 3)
    return image_tensor(np.array(picture))


def change_hsv(rgb: np.ndarray, hue: float, saturation: float) -> np.ndarray:
    """Turns the hue and scales the saturation (to at most 1), keeping HSV's value.

    Args:
        rgb: (3, N) float, 0..255.
        hue: in full circles.
        saturation: factor.

    Returns:
        (3, N) float, 0..255.
    """
    red, green, blue = rgb
    value = rgb.max(axis=0)
    chroma = value - rgb.min(axis=0)
    divisor = np.where(chroma > 0, chroma, 1)
    sector = np.where(
        value == red,
        (green - blue) / divisor,
        np.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    chroma = np.minimum(chroma * saturation, value)
    turned = (sector + 6 * hue) % 6
    lacking = (2 - abs(turned - 3), abs(turned - 2) - 1, abs(turned - 4) - 1)  # what red, green, blue lack of value
    return np.stack([value - chroma * part.clip(0, 1) for part in lacking])


@cache
def _cube() -> np.ndarray:
    """(3, CUBE_SIDE**3) float32: the colours at the corners of the cube's cells, red fastest."""
    levels = np.linspace(0, 255, CUBE_SIDE, dtype=np.float32)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    return np.stack([red.ravel(), green.ravel(), blue.ravel()])


def color_policy(image: Tensor, rng: np.random.Generator, magnitude_scale: float = 1.0) -> Tensor:
    """The five-pair policy of deeplab2: one pair by chance, each of its operations by its own probability.

    Args:
        magnitude_scale: multiplies every magnitude; deeplab2 uses 1 for COCO and 0.2 for Cityscapes.
    """
    for operation, probability, magnitude in POLICY[rng.integers(len(POLICY))]:
        if rng.random() < probability:
            image = apply_operation(image, operation, magnitude * magnitude_scale)
    return image


def apply_operation(image: Tensor, operation: str, magnitude: float) -> Tensor:
    """One AutoAugment operation at magnitude 0..10.

    An enhancement blends with factor ``magnitude / 10 * 1.8 + 0.1``, where 1 keeps the image; solarize inverts from
    level ``int(magnitude / 10 * 256)`` up; equalize has no magnitude.
    """
    if not _is_rgb(image):
        return image if operation == "saturation" else _apply(image[:, None], operation, magnitude)[:, 0]
    return _apply(image, operation, magnitude)


def _apply(image: Tensor, operation: str, magnitude: float) -> Tensor:
    """Of an RGB image, or of each (1, H, W) of a batch."""
    if operation == "equalize":
        return F.equalize(image)
    if operation == "solarize":
        threshold = int(magnitude / 10 * 256)
        return F.solarize(image, threshold) if threshold <= 255 else image
    factor = magnitude / 10 * 1.8 + 0.1
    adjust = {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "sharpness": F.adjust_sharpness,
    }[operation]
    return adjust(image, factor)


def _is_rgb(image: Tensor) -> bool:
    return len(image) == 3
