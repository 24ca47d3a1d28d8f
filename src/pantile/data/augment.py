"""Augmentation of an image, or of the frames of a clip alike, and its label rows: scale, colour, crop, flip, pad.

The ids travel as one integer map and are resampled once. The crop is cut out of the source before anything is
resized: for a scale above 1 that is the part of the image that survives anyway, so the result has the same
distribution as "resize, then crop", up to rounding the window to whole source pixels (and Equalize, which sees the
crop instead of the whole image). Both axes of a crop are drawn on their own; detectron2's FixedSizeCrop shares one
draw, so that its large-scale jittering sees the crops along the image's diagonal only.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torchvision.transforms.v2.functional as F
from torch import Tensor

from pantile.data.augment_config import AugmentConfig
from pantile.data.color import color_policy, ssd_jitter
from pantile.data.label_rows import LabelRows
from pantile.data.resize import PAD_VALUE, image_tensor, resize_ids, resize_image
from pantile.data.windows import FocusBox, draw_crop, draw_part, focus_scale, image_scale


def augment(
    image: np.ndarray,
    labels: LabelRows,
    config: AugmentConfig,
    rng: np.random.Generator,
    scale_factor: float = 1.0,
    focus: FocusBox | None = None,
    canvas: tuple[int, int] | None = None,
) -> tuple[Tensor, LabelRows]:
    """One image through the whole recipe, but for copy-paste: ``augment_alike`` of one frame."""
    images, rows = augment_alike([image], [labels], config, rng, scale_factor, focus, canvas)
    return images[0], rows[0]


def augment_alike(
    images: Sequence[np.ndarray],
    labels: Sequence[LabelRows],
    config: AugmentConfig,
    rng: np.random.Generator,
    scale_factor: float = 1.0,
    focus: FocusBox | None = None,
    canvas: tuple[int, int] | None = None,
) -> tuple[list[Tensor], list[LabelRows]]:
    """Frames of one size through the whole recipe, all with the same scale, crop, colours and flip.

    Args:
        images: (H, W, 3) uint8 each.
        labels: rows of the same size; what depends on them is decided by those of the first frame.
        scale_factor: multiplies the random scale.
        focus: the segment that the crop contains, and that with ``config.pairs`` decides the scale.
        canvas: (height, width) of the result; None is what ``config.pad`` says.

    Returns:
        (C, *canvas) uint8 images and label rows; rows may be without pixels now. With ``config.pad`` "batch" and
        without ``canvas`` the images are as large as they became, at most ``config.crop``.
    """
    limit = config.crop if canvas is None else canvas
    if config.part is not None and rng.random() < config.part.probability:
        part = draw_part(labels[0].ids.shape, config.part, rng)
        images = [part.of(image) for image in images]
        labels = [LabelRows(part.of(rows.ids), rows.classes, rows.crowd) for rows in labels]
    source = labels[0].ids.shape
    if focus is not None and config.pairs is not None:
        scale = focus_scale(source, focus, config, rng)
    else:
        scale = image_scale(source, config, rng, scale_factor)
    center = None if focus is None else focus.center
    window, first_ids = draw_crop(labels[0], limit, scale, config.single_category_max_area, rng, center)
    ids = [first_ids, *(resize_ids(window.of(rows.ids), window.out_size) for rows in labels[1:])]
    pixels = [image_tensor(np.array(window.of(image))) for image in images]
    # jitter is pointwise, so it is done at whichever of the two resolutions has fewer pixels
    jitter_early = window.height * window.width < window.out_height * window.out_width
    if config.ssd_jitter and jitter_early:
        pixels = _with_same_draws(ssd_jitter, pixels, rng)
    pixels = [resize_image(frame, window.out_size) for frame in pixels]
    if config.ssd_jitter and not jitter_early:
        pixels = _with_same_draws(ssd_jitter, pixels, rng)
    if config.policy_magnitude > 0:
        policy = partial(color_policy, magnitude_scale=config.policy_magnitude)
        pixels = _with_same_draws(policy, pixels, rng)
    if rng.random() < config.flip:
        pixels, ids = [F.horizontal_flip(frame) for frame in pixels], [frame[:, ::-1] for frame in ids]
    labels = [
        LabelRows(np.ascontiguousarray(frame), rows.classes, rows.crowd)
        for frame, rows in zip(ids, labels, strict=True)
    ]
    if config.pad == "batch" and canvas is None:
        return pixels, labels
    top, left = _pad_offset(window.out_size, limit, config, rng)
    placed = [place(*frame, limit, top, left, config.pad_value) for frame in zip(pixels, labels, strict=True)]
    return [image for image, _ in placed], [rows for _, rows in placed]


def _with_same_draws(
    change: Callable[[Tensor, np.random.Generator], Tensor], images: Sequence[Tensor], rng: np.random.Generator
) -> list[Tensor]:
    """``change`` of each image, which draws the same for all; afterwards ``rng`` is where one image leaves it."""
    state = rng.bit_generator.state
    changed = []
    for image in images:
        rng.bit_generator.state = state
        changed.append(change(image, rng))
    return changed


def place(
    pixels: Tensor, labels: LabelRows, size: tuple[int, int], top: int, left: int, pad_value: int | None = None
) -> tuple[Tensor, LabelRows]:
    """Puts an image and its labels on a canvas of padding and void.

    Args:
        pad_value: of the padding, which then counts as image; None makes it padding.
    """
    inside = (slice(top, top + labels.ids.shape[0]), slice(left, left + labels.ids.shape[1]))
    canvas = pixels.new_full((len(pixels), *size), PAD_VALUE if pad_value is None else pad_value)
    canvas[:, *inside] = pixels
    ids = np.zeros(size, dtype=np.int16)
    ids[inside] = labels.ids
    padding = None
    if pad_value is None and labels.ids.shape != tuple(size):
        padding = np.ones(size, dtype=bool)
        padding[inside] = False
    return canvas, LabelRows(ids, labels.classes, labels.crowd, padding)


def _pad_offset(
    content: tuple[int, int], size: tuple[int, int], config: AugmentConfig, rng: np.random.Generator
) -> tuple[int, int]:
    if config.pad_position == "bottom_right":
        return 0, 0
    free = [limit - length for limit, length in zip(size, content, strict=True)]
    return int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))
