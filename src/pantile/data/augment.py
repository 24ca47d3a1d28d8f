"""Augmentation of one image and its label rows: scale, colour, crop, flip, pad.

The ids travel as one integer map and are resampled once. The crop is cut out of the source before anything is
resized: for a scale above 1 that is the part of the image that survives anyway, so the result has the same
distribution as "resize, then crop", up to rounding the window to whole source pixels (and Equalize, which sees the
crop instead of the whole image). Both axes of a crop are drawn on their own; detectron2's FixedSizeCrop shares one
draw, so that its large-scale jittering sees the crops along the image's diagonal only.
"""

import numpy as np
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pantile.data.augment_config import AugmentConfig
from pantile.data.color import color_policy, ssd_jitter
from pantile.data.label_rows import LabelRows
from pantile.data.resize import PAD_VALUE, image_tensor, resize_image
from pantile.data.windows import FocusBox, draw_crop, draw_part, focus_scale, image_scale


def augment(
    image: np.ndarray,
    labels: LabelRows,
    config: AugmentConfig,
    rng: np.random.Generator,
    scale_factor: float = 1.0,
    focus: FocusBox | None = None,
) -> tuple[Tensor, LabelRows]:
    """One image through the whole recipe, but for copy-paste.

    Args:
        image: (H, W, 3) uint8.
        labels: rows of the same size.
        scale_factor: multiplies the random scale.
        focus: the segment that the crop contains, and that with ``config.pairs`` decides the scale.

    Returns:
        (3, *crop) uint8 image and (*crop) label rows; rows may be without pixels now.
    """
    if config.part is not None and rng.random() < config.part.probability:
        part = draw_part((image.shape[0], image.shape[1]), config.part, rng)
        image, labels = part.of(image), LabelRows(part.of(labels.ids), labels.classes, labels.crowd)
    source = (image.shape[0], image.shape[1])
    if focus is not None and config.pairs is not None:
        scale = focus_scale(source, focus, config, rng)
    else:
        scale = image_scale(source, config, rng, scale_factor)
    center = None if focus is None else focus.center
    window, ids = draw_crop(labels, config.crop, scale, config.single_category_max_area, rng, center)
    pixels = image_tensor(np.array(window.of(image)))
    # jitter is pointwise, so it is done at whichever of the two resolutions has fewer pixels
    jitter_early = window.height * window.width < window.out_height * window.out_width
    if config.ssd_jitter and jitter_early:
        pixels = ssd_jitter(pixels, rng)
    pixels = resize_image(pixels, window.out_size)
    if config.ssd_jitter and not jitter_early:
        pixels = ssd_jitter(pixels, rng)
    if config.policy_magnitude > 0:
        pixels = color_policy(pixels, rng, config.policy_magnitude)
    if rng.random() < config.flip:
        pixels, ids = F.horizontal_flip(pixels), ids[:, ::-1]
    top, left = _pad_offset(window.out_size, config, rng)
    return place(pixels, ids, config.crop, top, left, labels)


def place(
    pixels: Tensor, ids: np.ndarray, size: tuple[int, int], top: int, left: int, labels: LabelRows
) -> tuple[Tensor, LabelRows]:
    """Puts an image and its ids on a canvas of grey and void."""
    height, width = ids.shape
    canvas = torch.full((len(pixels), *size), PAD_VALUE, dtype=torch.uint8)
    canvas[:, top : top + height, left : left + width] = pixels
    canvas_ids = np.zeros(size, dtype=np.int16)
    canvas_ids[top : top + height, left : left + width] = ids
    return canvas, LabelRows(canvas_ids, labels.classes, labels.crowd)


def _pad_offset(content: tuple[int, int], config: AugmentConfig, rng: np.random.Generator) -> tuple[int, int]:
    if config.pad_position == "bottom_right":
        return 0, 0
    free = [limit - length for limit, length in zip(config.crop, content, strict=True)]
    return int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))
