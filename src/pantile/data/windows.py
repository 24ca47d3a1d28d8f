"""Windows: the random scale of an image and the random crop of it, in pixels of the source."""

from dataclasses import dataclass

import numpy as np

from pantile.data.augment_config import AugmentConfig, PartConfig
from pantile.data.fit import half_up
from pantile.data.label_rows import LabelRows
from pantile.data.resize import resize_ids

CROP_DRAWS = 10  # of a crop in which one class has too large a share


@dataclass(frozen=True)
class FocusBox:
    """The segment that a crop has to contain, in pixels of the source; ``bottom`` and ``right`` are exclusive.

    Attributes:
        target_size: what the root of the box's area becomes after scaling; None takes the recipe's scale.
    """

    top: int
    left: int
    bottom: int
    right: int
    target_size: int | None = None

    @property
    def size(self) -> float:
        """The root of the box's area."""
        return ((self.bottom - self.top) * (self.right - self.left)) ** 0.5

    @property
    def center(self) -> tuple[int, int]:
        """(row, column) of the pixel in the middle."""
        return (self.top + self.bottom) // 2, (self.left + self.right) // 2


@dataclass(frozen=True)
class Window:
    """A part of the source image and the size it is resized to; all in pixels."""

    top: int
    left: int
    height: int
    width: int
    out_height: int
    out_width: int

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) after the resize."""
        return self.out_height, self.out_width

    def of(self, array: np.ndarray) -> np.ndarray:
        """This part of (H, W, ...), a view."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


def image_scale(
    source: tuple[int, int], config: AugmentConfig, rng: np.random.Generator, scale_factor: float = 1.0
) -> float:
    """The random factor by which an image of (height, width) pixels is resized, times ``scale_factor``."""
    if config.short_side:
        scale = config.short_side[rng.integers(len(config.short_side))] / min(source)
        if config.max_side is not None:
            scale = min(scale, config.max_side / max(source))
        return scale * scale_factor
    scale = draw_scale(config, rng) * scale_factor
    if config.scale_relative_to == "fit":
        scale *= min(config.crop[0] / source[0], config.crop[1] / source[1])
    elif config.scale_relative_to == "long_side":
        scale *= max(config.crop) / max(source)
    return scale


def focus_scale(source: tuple[int, int], focus: FocusBox, config: AugmentConfig, rng: np.random.Generator) -> float:
    """The factor by which an image of (height, width) pixels is resized for paired crops.

    It gives the box its target size or, without one, is the recipe's random scale; in both cases it is limited as
    ``config.pairs`` says, the longer side last.
    """
    if focus.target_size is None:
        scale = image_scale(source, config, rng)
    else:
        scale = focus.target_size / focus.size
    low, high = config.pairs.short_sides(config.crop)
    scale = min(max(scale, low / min(source)), high / min(source))
    if config.pairs.max_long_side is not None:
        scale = min(scale, config.pairs.max_long_side / max(source))
    return scale


def draw_scale(config: AugmentConfig, rng: np.random.Generator) -> float:
    """A scale of ``config.scale_range``."""
    low, high = config.scale_range
    if config.scale_step > 0:
        steps = int((high - low) / config.scale_step + 1e-6)
        return low + config.scale_step * int(rng.integers(steps + 1))
    return float(rng.uniform(low, high))


def draw_window(
    source: tuple[int, int],
    crop: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
    center: tuple[int, int] | None = None,
) -> Window:
    """A uniformly random crop of the scaled image, in coordinates of the source; an axis that fits is kept whole.

    Args:
        center: (row, column) of a pixel of the source that the crop must contain: uniform among the crops that do.
    """
    parts = []
    for axis, (full, limit) in enumerate(zip(source, crop, strict=True)):
        if half_up(full * scale) <= limit:
            parts.append((0, full, max(half_up(full * scale), 1)))
        else:
            length = min(max(half_up(limit / scale), 1), full)
            first, last = 0, full - length
            if center is not None:
                first, last = max(center[axis] - length + 1, 0), min(last, center[axis])
            parts.append((int(rng.integers(first, last + 1)), length, limit))
    (top, height, out_height), (left, width, out_width) = parts
    return Window(top, left, height, width, out_height, out_width)


def draw_part(source: tuple[int, int], config: PartConfig, rng: np.random.Generator) -> Window:
    """The part of an image of (height, width) pixels that stands for it; it is not resized."""
    scale = config.short_side[rng.integers(len(config.short_side))] / min(source)
    low, high = config.sides
    scaled = [half_up(length * scale) for length in source]
    size = tuple(int(rng.integers(min(length, low), min(length, high) + 1)) for length in scaled)
    return draw_window(source, size, scale, rng)


def draw_crop(
    labels: LabelRows,
    crop: tuple[int, int],
    scale: float,
    max_area: float,
    rng: np.random.Generator,
    center: tuple[int, int] | None = None,
) -> tuple[Window, np.ndarray]:
    """A random window and its ids, drawn anew while one class covers too much of it.

    Args:
        labels: of the source image.
        max_area: the share that no class may reach; 1 takes the first window.
        center: (row, column) of a pixel that the window must contain.

    Returns:
        The window, and its ids resized to ``window.out_size``.
    """
    for _ in range(CROP_DRAWS):
        window = draw_window((labels.ids.shape[0], labels.ids.shape[1]), crop, scale, rng, center)
        ids = resize_ids(window.of(labels.ids), window.out_size)
        only_one = (window.height, window.width) == labels.ids.shape
        if max_area >= 1 or only_one or is_mixed(LabelRows(ids, labels.classes, labels.crowd), max_area):
            break
    return window, ids


def is_mixed(labels: LabelRows, max_area: float) -> bool:
    """Whether there are at least two classes and each covers less than ``max_area`` of the labelled pixels.

    The segments of a class count together, crowd included; void does not count. This is how detectron2 judges the
    semantic label of a crop.
    """
    areas = np.bincount(labels.classes, weights=labels.areas())
    return np.count_nonzero(areas) > 1 and bool(areas.max() < areas.sum() * max_area)
