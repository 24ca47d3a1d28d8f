"""Augmentation of one image and its label rows: scale, colour, crop, flip, pad.

The ids travel as one integer map and are resampled once. The crop is cut out of the source before anything is
resized: for a scale above 1 that is the part of the image that survives anyway, so the result has the same
distribution as "resize, then crop", up to rounding the window to whole source pixels (and Equalize, which sees the
crop instead of the whole image).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.data.color import color_policy, ssd_jitter
from pantile.data.label_rows import LabelRows
from pantile.data.resize import PAD_VALUE, image_tensor, resize_ids, resize_image


@dataclass
class AugmentConfig:
    """How a training sample is made. Defaults are the COCO recipe of ReMaX / kMaX-DeepLab.

    Attributes:
        crop: (height, width) of the sample in pixels. 32k+1 keeps corners aligned at every stride (kMaX: 1281 or 641
            squared on COCO and ADE20K, 1025x2049 on Cityscapes); any size works.
        scale_range: smallest and largest random scale (ReMaX, deeplab2: 0.3-1.7 on COCO; 0.5-2.0 on Cityscapes and
            ADE20K; the PyTorch port of kMaX: 0.2-2.0 on COCO).
        scale_step: spacing of the scales within the range, 0 for any (deeplab2: 0.1).
        scale_relative_to: what scale 1 means: "fit", the largest size that fits the crop (COCO, ADE20K), or "native",
            the size on disk (Cityscapes).
        flip: probability of a horizontal flip.
        ssd_jitter: the colour jitter of SSD (PyTorch port of kMaX).
        policy_magnitude: strength of the AutoAugment colour policy of deeplab2: 0 is off, 1 is COCO's, 0.2 is
            Cityscapes'.
        pad_position: where a small image lies: "random" anywhere (deeplab2), so that pasted segments land anywhere, or
            "bottom_right" with all padding there (PyTorch port of kMaX).
        copy_paste: probability of panoptic copy-paste from a second image (kMaX: always).
        copy_paste_scale: the second image's scale range is multiplied by this (kMaX: 0.5).
        min_pixels: a target with fewer pixels after the crop is removed and becomes void.
        redraws: how often a sample without targets (or with too few labelled pixels) is drawn anew, from another
            image; then it is kept. 0 keeps every sample, also images without any object.
        min_labelled_pixels: what counts as too few for a redraw (the PyTorch port of kMaX wants more than 4096 at
            stride 4, thus 65536).
    """

    crop: tuple[int, int] = (641, 641)
    scale_range: tuple[float, float] = (0.3, 1.7)
    scale_step: float = 0.0
    scale_relative_to: Literal["fit", "native"] = "fit"
    flip: float = 0.5
    ssd_jitter: bool = True
    policy_magnitude: float = 0.0
    pad_position: Literal["random", "bottom_right"] = "random"
    copy_paste: float = 1.0
    copy_paste_scale: float = 0.5
    min_pixels: int = 1
    redraws: int = 10
    min_labelled_pixels: int = 1

    def check(self) -> None:
        """Raises UserError for values that make no sense."""
        if min(self.crop) < 1:
            raise UserError(f"augment.crop is {self.crop}: height and width must be at least 1.")
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise UserError(f"augment.scale_range is {self.scale_range}: give 0 < smallest <= largest.")
        if self.copy_paste_scale <= 0:
            raise UserError(f"augment.copy_paste_scale is {self.copy_paste_scale}: it must be above 0.")
        for field in ("flip", "copy_paste"):
            if not 0 <= getattr(self, field) <= 1:
                raise UserError(f"augment.{field} is {getattr(self, field)}: a probability lies in 0..1.")
        for field in ("scale_step", "policy_magnitude", "min_pixels", "redraws", "min_labelled_pixels"):
            if getattr(self, field) < 0:
                raise UserError(f"augment.{field} is {getattr(self, field)}: it must not be negative.")


@dataclass(frozen=True)
class Window:
    """A part of the source image and the size it is resized to; all in pixels."""

    top: int
    left: int
    height: int
    width: int
    out_height: int
    out_width: int


def augment(
    image: np.ndarray, labels: LabelRows, config: AugmentConfig, rng: np.random.Generator, scale_factor: float = 1.0
) -> tuple[Tensor, LabelRows]:
    """One image through the whole recipe, but for copy-paste.

    Args:
        image: (H, W, 3) uint8.
        labels: rows of the same size.
        scale_factor: multiplies the scale range.

    Returns:
        (3, *crop) uint8 image and (*crop) label rows; rows may be without pixels now.
    """
    scale = draw_scale(config, rng) * scale_factor
    if config.scale_relative_to == "fit":
        scale *= min(config.crop[0] / image.shape[0], config.crop[1] / image.shape[1])
    window = draw_window((image.shape[0], image.shape[1]), config.crop, scale, rng)
    pixels, ids = cut(image, labels.ids, window)
    # jitter is pointwise, so it is done at whichever of the two resolutions has fewer pixels
    jitter_early = window.height * window.width < window.out_height * window.out_width
    if config.ssd_jitter and jitter_early:
        pixels = ssd_jitter(pixels, rng)
    size = (window.out_height, window.out_width)
    pixels, ids = resize_image(pixels, size), resize_ids(ids, size)
    if config.ssd_jitter and not jitter_early:
        pixels = ssd_jitter(pixels, rng)
    if config.policy_magnitude > 0:
        pixels = color_policy(pixels, rng, config.policy_magnitude)
    if rng.random() < config.flip:
        pixels, ids = F.horizontal_flip(pixels), ids[:, ::-1]
    top, left = _pad_offset(size, config, rng)
    return place(pixels, ids, config.crop, top, left, labels)


def draw_scale(config: AugmentConfig, rng: np.random.Generator) -> float:
    low, high = config.scale_range
    if config.scale_step > 0:
        steps = int((high - low) / config.scale_step + 1e-6)
        return low + config.scale_step * int(rng.integers(steps + 1))
    return float(rng.uniform(low, high))


def draw_window(source: tuple[int, int], crop: tuple[int, int], scale: float, rng: np.random.Generator) -> Window:
    """A uniformly random crop of the scaled image, in coordinates of the source; an axis that fits is kept whole."""
    parts = []
    for full, limit in zip(source, crop, strict=True):
        if round(full * scale) <= limit:
            parts.append((0, full, max(round(full * scale), 1)))
        else:
            length = min(max(round(limit / scale), 1), full)
            parts.append((int(rng.integers(full - length + 1)), length, limit))
    (top, height, out_height), (left, width, out_width) = parts
    return Window(top, left, height, width, out_height, out_width)


def cut(image: np.ndarray, ids: np.ndarray, window: Window) -> tuple[Tensor, np.ndarray]:
    """The window's pixels, (3, h, w) uint8, and ids, (h, w); not yet resized."""
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    return image_tensor(np.array(image[rows, columns])), ids[rows, columns]


def place(
    pixels: Tensor, ids: np.ndarray, size: tuple[int, int], top: int, left: int, labels: LabelRows
) -> tuple[Tensor, LabelRows]:
    """Puts an image and its ids on a canvas of grey and void."""
    height, width = ids.shape
    canvas = torch.full((3, *size), PAD_VALUE, dtype=torch.uint8)
    canvas[:, top : top + height, left : left + width] = pixels
    canvas_ids = np.zeros(size, dtype=np.int16)
    canvas_ids[top : top + height, left : left + width] = ids
    return canvas, LabelRows(canvas_ids, labels.classes, labels.crowd)


def _pad_offset(content: tuple[int, int], config: AugmentConfig, rng: np.random.Generator) -> tuple[int, int]:
    if config.pad_position == "bottom_right":
        return 0, 0
    free = [limit - length for limit, length in zip(config.crop, content, strict=True)]
    return int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))
