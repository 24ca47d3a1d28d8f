"""Scales by rule, and the category rule of crops against a loop over pixels."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pantile.data.augment_config import AugmentConfig
from pantile.data.label_rows import LabelRows
from pantile.data.windows import CROP_DRAWS, draw_crop, draw_window, image_scale, is_mixed

FIXED = AugmentConfig(crop=(1025, 2049), scale_range=(1.0, 1.0))


def scale_of(source: tuple[int, int], config: AugmentConfig, factor: float = 1.0) -> float:
    return image_scale(source, config, np.random.default_rng(0), factor)


@pytest.mark.parametrize("source", [(3000, 4000), (4000, 3000), (1024, 2048), (700, 700)])
def test_long_side_reaches_the_longer_side_of_the_crop(source) -> None:
    config = replace(FIXED, scale_relative_to="long_side")
    assert max(source) * scale_of(source, config) == pytest.approx(2049)
    assert max(source) * scale_of(source, config, 0.5) == pytest.approx(2049 / 2)
    assert max(source) * scale_of(source, replace(config, scale_range=(2.0, 2.0))) == pytest.approx(2 * 2049)


def test_long_side_fills_a_crop_that_fit_leaves_empty() -> None:
    """A 4:3 image on the 1:2 crop of Mapillary Vistas: 2049 x 1537, of which 1025 rows are cropped."""
    rng = np.random.default_rng(0)
    scale = scale_of((3000, 4000), replace(FIXED, scale_relative_to="long_side"))
    window = draw_window((3000, 4000), FIXED.crop, scale, rng)
    assert (window.out_size, window.width) == ((1025, 2049), 4000)
    assert window.height == pytest.approx(3000 * 1025 / 1537, abs=1.5)
    assert draw_window((3000, 4000), FIXED.crop, scale_of((3000, 4000), FIXED), rng).out_size == (1025, 1367)


@pytest.mark.parametrize("source", [(480, 640), (640, 480), (512, 512)])
def test_short_sides_are_drawn_alike(source) -> None:
    config = AugmentConfig(short_side=tuple(int(0.1 * x * 640) for x in range(5, 21)))
    rng = np.random.default_rng(1)
    sides = Counter(round(min(source) * image_scale(source, config, rng)) for _ in range(3200))
    assert set(sides) == set(config.short_side)
    assert len(sides) == 16
    assert all(130 < count < 270 for count in sides.values())  # 200, five deviations of 14


def test_max_side_holds_the_longer_side() -> None:
    config = AugmentConfig(short_side=(800,), max_side=1333)
    assert scale_of((480, 640), config) == pytest.approx(800 / 480)
    assert scale_of((300, 640), config) == pytest.approx(1333 / 640)
    assert scale_of((640, 300), config, 0.5) == pytest.approx(1333 / 640 / 2)
    assert scale_of((300, 640), replace(config, max_side=None)) == pytest.approx(800 / 300)


@pytest.mark.parametrize(("width", "expected"), [(85, 213), (83, 208)])  # 212.5 and 207.5
def test_halves_are_rounded_up_as_at_test_time(width, expected) -> None:
    config = AugmentConfig(short_side=(160,))
    window = draw_window((64, width), (400, 400), scale_of((64, width), config), np.random.default_rng(0))
    assert window.out_size == (160, expected)


def brute_force_mixed(ids: np.ndarray, classes: np.ndarray, max_area: float) -> bool:
    """Pixel by pixel, as a semantic label would be counted."""
    counts = Counter(int(classes[i - 1]) for i in ids.ravel().tolist() if i > 0)
    return len(counts) > 1 and max(counts.values()) < max_area * sum(counts.values())


def test_category_rule_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    verdicts = Counter()
    for _ in range(400):
        rows = int(rng.integers(0, 6))
        weights = rng.dirichlet(np.full(rows + 1, 0.4))
        ids = rng.choice(rows + 1, (5, 7), p=weights).astype(np.int16)
        classes = rng.integers(0, 4, rows)
        labels = LabelRows(ids, classes, rng.random(rows) < 0.2)
        expected = brute_force_mixed(ids, classes, 0.75)
        assert is_mixed(labels, 0.75) == expected
        verdicts[expected] += 1
    assert min(verdicts.values()) > 50


def test_exactly_the_limit_is_too_much() -> None:
    ids = np.array([[1, 1, 2, 3]], np.int16)  # two segments of class 0: 3 of 4 pixels
    labels = LabelRows(ids, np.array([0, 0, 1]), np.zeros(3, bool))
    assert not is_mixed(labels, 0.75)
    assert is_mixed(labels, 0.76)


@pytest.mark.parametrize("scale", [0.8, 1.7])
def test_first_mixed_crop_is_taken_and_the_tenth_kept(scale: float) -> None:
    """The draws are repeated by hand: resize with Pillow, count pixels, stop at the first legal crop."""
    ids = np.full((40, 60), 1, np.int16)
    ids[:12, 40:] = 2
    ids[30:, :10] = 0
    labels = LabelRows(ids, np.array([3, 5]), np.zeros(2, bool))
    draws_needed = Counter()
    for seed in range(150):
        window, chosen = draw_crop(labels, (20, 20), scale, 0.75, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        for _ in range(10):
            draws_needed[seed] += 1
            expected = draw_window((40, 60), (20, 20), scale, rng)
            part = Image.fromarray(expected.of(ids).astype(np.int32))
            part = np.asarray(part.resize(expected.out_size[::-1], Image.Resampling.NEAREST))
            if brute_force_mixed(part, labels.classes, 0.75):
                break
        assert window == expected
        assert np.array_equal(chosen, part)
    assert CROP_DRAWS == 10
    assert len(set(draws_needed.values())) > 5  # some at once, some late
    assert list(draws_needed.values()).count(1) < 100


def test_every_crop_is_taken_without_the_rule() -> None:
    labels = LabelRows(np.ones((30, 30), np.int16), np.array([0]), np.array([False]))
    rng, plain = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(5):
        assert draw_crop(labels, (10, 10), 1.0, 1.0, rng)[0] == draw_window((30, 30), (10, 10), 1.0, plain)
