"""The recipes of Mask2Former and of Mapillary Vistas as statistics, against "resize the whole image, then crop".

The mapper of the test is a restatement of detectron2's steps with Pillow, on a small image whose ids form a grid.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pantile.data.augment import augment
from pantile.data.augment_config import AugmentConfig, PartConfig
from pantile.data.label_rows import LabelRows
from pantile.data.resize import PAD_VALUE

CROP = (64, 64)
DRAWS = 900
LSJ = AugmentConfig(
    crop=CROP, scale_range=(0.1, 2.0), pad_position="bottom_right", ssd_jitter=False, copy_paste=0.0, redraws=0
)
SHORT_SIDES = tuple(int(0.1 * x * 48) for x in range(5, 21))
SHORT = AugmentConfig(
    crop=(48, 48),
    short_side=SHORT_SIDES,
    max_side=90,
    single_category_max_area=0.55,
    pad_position="bottom_right",
    ssd_jitter=False,
    copy_paste=0.0,
    redraws=0,
)
MAPILLARY = AugmentConfig(
    crop=(33, 65),
    scale_range=(0.5, 2.0),
    scale_relative_to="long_side",
    pad_position="bottom_right",
    ssd_jitter=False,
    copy_paste=0.0,
    redraws=0,
)
PART = replace(SHORT, single_category_max_area=1.0, part=PartConfig(0.5, short_side=(30, 40, 50), sides=(24, 44)))


def grid() -> tuple[np.ndarray, LabelRows]:
    """60 x 80 pixels: class 0 below, a 2 x 4 grid of rows of classes 1..3 above it; a strip of void on the left."""
    ids = np.full((60, 80), 9, np.int16)
    ids[:32] = (np.arange(32)[:, None] // 16) * 4 + np.arange(80)[None] // 20 + 1
    ids[:, :6] = 0
    classes = np.array([1, 2, 3, 1, 2, 3, 1, 2, 0])
    palette = np.random.default_rng(0).integers(0, 100, (10, 3), dtype=np.uint8)  # no grey of the padding
    return palette[ids], LabelRows(ids, classes, np.zeros(9, bool))


def resized(ids: np.ndarray, height: float, width: float) -> np.ndarray:
    size = max(round(width), 1), max(round(height), 1)
    return np.asarray(Image.fromarray(ids.astype(np.int32)).resize(size, Image.Resampling.NEAREST))


def cropped(ids: np.ndarray, crop: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    top, left = (int(rng.integers(max(full - part, 0) + 1)) for full, part in zip(ids.shape, crop, strict=True))
    return ids[top : top + crop[0], left : left + crop[1]]


def naive_lsj(labels: LabelRows, rng: np.random.Generator) -> np.ndarray:
    scale = rng.uniform(0.1, 2.0) * min(64 / 60, 64 / 80)
    return cropped(resized(labels.ids, 60 * scale, 80 * scale), CROP, rng)


def naive_mapillary(labels: LabelRows, rng: np.random.Generator) -> np.ndarray:
    scale = rng.uniform(0.5, 2.0) * 65 / 80
    return cropped(resized(labels.ids, 60 * scale, 80 * scale), (33, 65), rng)


def naive_short_side(labels: LabelRows, rng: np.random.Generator) -> np.ndarray:
    scale = rng.choice(SHORT_SIDES) / 60
    scale *= min(1, 90 / (80 * scale))
    ids = resized(labels.ids, 60 * scale, 80 * scale)
    for _ in range(10):
        part = cropped(ids, (48, 48), rng)
        counts = np.unique(labels.classes[part[part > 0] - 1], return_counts=True)[1]
        if len(counts) > 1 and counts.max() < 0.55 * counts.sum():
            break
    return part


def naive_part(labels: LabelRows, rng: np.random.Generator) -> np.ndarray:
    """DETR: in half of the cases resize, crop anywhere, then the recipe of the short side."""
    ids = labels.ids
    if rng.random() > 0.5:
        scale = rng.choice([30, 40, 50]) / 60
        small = resized(ids, 60 * scale, 80 * scale)
        size = tuple(int(rng.integers(min(length, 24), min(length, 44) + 1)) for length in small.shape)
        ids = cropped(small, size, rng)
    scale = rng.choice(SHORT_SIDES) / min(ids.shape)
    scale *= min(1, 90 / (max(ids.shape) * scale))
    return cropped(resized(ids, ids.shape[0] * scale, ids.shape[1] * scale), (48, 48), rng)


def naive_sample(
    mapper: Callable[[LabelRows, np.random.Generator], np.ndarray], crop: tuple[int, int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids on the canvas, and which of its pixels show the image."""
    rng = np.random.default_rng([7, seed])
    ids = mapper(grid()[1], rng)
    ids = ids[:, ::-1] if rng.random() < 0.5 else ids
    canvas, content = np.zeros(crop, int), np.zeros(crop, bool)
    canvas[: ids.shape[0], : ids.shape[1]] = ids
    content[: ids.shape[0], : ids.shape[1]] = True
    return canvas, content


def our_sample(config: AugmentConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    image, labels = grid()
    pixels, out = augment(image, labels, config, np.random.default_rng(seed))
    return out.ids, ~(pixels == PAD_VALUE).all(0).numpy()


def statistics(ids: np.ndarray, content: np.ndarray) -> list[float]:
    """Size of the content, share of each row, its centre and presence, share of void, and the largest class."""
    total = ids.size
    areas = np.bincount(ids.ravel(), minlength=10)
    of_class = np.bincount(grid()[1].classes, weights=areas[1:])
    values = [content.any(1).sum() / ids.shape[0], content.any(0).sum() / ids.shape[1]]
    values += (areas[1:] / total).tolist() + (areas[1:] > 0).tolist()
    values += [((ids == 0) & content).sum() / total, of_class.max() / max(of_class.sum(), 1)]
    for row in range(1, 10):
        at = np.argwhere(ids == row)
        values += (at.mean(0) / ids.shape).tolist() if len(at) else [0.5, 0.5]
    return values


@pytest.mark.parametrize(
    ("config", "mapper"),
    [(LSJ, naive_lsj), (MAPILLARY, naive_mapillary), (SHORT, naive_short_side), (PART, naive_part)],
    ids=["large-scale jittering", "mapillary", "short side", "part"],
)
def test_same_distribution_as_resize_then_crop(config: AugmentConfig, mapper) -> None:
    ours = np.array([statistics(*our_sample(config, seed)) for seed in range(DRAWS)])
    naive = np.array([statistics(*naive_sample(mapper, config.crop, seed)) for seed in range(DRAWS)])
    for moment in (1, 2):
        left, right = ours**moment, naive**moment
        error = np.sqrt((left.var(0) + right.var(0)) / DRAWS)
        # four standard errors, and a two-hundredth because windows are whole pixels of the source
        assert (np.abs(left.mean(0) - right.mean(0)) <= 4 * error + 0.005).all()


@pytest.mark.parametrize(
    "config", [LSJ, MAPILLARY, SHORT, PART], ids=["large-scale jittering", "mapillary", "short side", "part"]
)
def test_ids_are_exact_and_reproducible(config: AugmentConfig) -> None:
    """Colours give the ids away: no id is invented, and each lies where its colour is."""
    image, labels = grid()
    colors = {tuple(image[tuple(np.argwhere(labels.ids == i)[0])].tolist()): i for i in range(10)}
    for seed in range(25):
        pixels, out = augment(image, labels, config, np.random.default_rng(seed))
        again, out_again = augment(image, labels, config, np.random.default_rng(seed))
        assert torch.equal(pixels, again)
        assert np.array_equal(out.ids, out_again.ids)
        assert set(np.unique(out.ids)) <= set(range(10))
        for position in np.ndindex(out.ids.shape):
            color = tuple(pixels[:, position[0], position[1]].tolist())
            if color in colors:  # not mixed with a neighbour by the resize
                assert out.ids[position] == colors[color]


def test_large_images_are_cropped_and_small_ones_padded() -> None:
    seen = {"cropped": 0, "padded": 0}
    for seed in range(60):
        ids, content = our_sample(LSJ, seed)
        rows, columns = int(content.any(1).sum()), int(content.any(0).sum())
        assert content[:rows, :columns].all()  # the content starts in the corner
        assert content.sum() == rows * columns
        assert not ids[~content].any()
        seen["cropped" if rows == columns == 64 else "padded"] += 1
    assert min(seen.values()) > 5
