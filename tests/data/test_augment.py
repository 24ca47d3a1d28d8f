"""Augmentation as invariants: the image tells which label each pixel must have."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from pantile.contracts.errors import UserError
from pantile.data.augment import augment
from pantile.data.augment_config import AugmentConfig, PairConfig, PartConfig
from pantile.data.label_rows import LabelRows, label_rows
from pantile.data.resize import PAD_VALUE
from pantile.data.windows import draw_scale, draw_window

PLAIN = AugmentConfig(crop=(97, 129), ssd_jitter=False, copy_paste=0.0, flip=0.5, scale_range=(0.3, 2.0))


def interior(ids: np.ndarray, reach: int) -> np.ndarray:
    """Pixels whose neighbourhood up to ``reach`` has a single id and does not touch the canvas border."""
    width = 2 * reach + 1
    same = ndimage.minimum_filter(ids, width) == ndimage.maximum_filter(ids, width)
    inside = np.zeros(ids.shape, bool)
    inside[reach:-reach, reach:-reach] = same[reach:-reach, reach:-reach]
    return inside


def assert_aligned(image: torch.Tensor, labels: LabelRows, palette: np.ndarray, rows: np.ndarray | None = None) -> None:
    """In the interior of every row (or of ``rows``) the colour is that of its class; void has void's or padding's."""
    pixels = image.permute(1, 2, 0).numpy()
    inside = interior(labels.ids, 4)  # wider than the blur of an enlargement to 6 times the size
    if rows is not None:
        inside &= np.isin(labels.ids, np.flatnonzero(rows) + 1)
    colors = np.concatenate([palette[-1:], palette[labels.classes]])[labels.ids]
    padding = (pixels == PAD_VALUE).all(-1) & (labels.ids == 0)
    right = (pixels == colors).all(-1) | padding
    assert right[inside].all()
    assert inside.any() or not labels.ids.any()


@pytest.mark.parametrize("pad_position", ["bottom_right", "random"])
@pytest.mark.parametrize("relative", ["fit", "native"])
def test_image_and_ids_stay_aligned(palette_data, pad_position, relative) -> None:
    config = replace(PLAIN, pad_position=pad_position, scale_relative_to=relative)
    for seed in range(30):
        image, panoptic = palette_data.load(seed % len(palette_data))
        rows = label_rows(panoptic, palette_data.taxonomy)
        out, labels = augment(image, rows, config, np.random.default_rng(seed))
        assert out.shape == (3, 97, 129)
        assert out.dtype == torch.uint8
        assert labels.ids.shape == (97, 129)
        assert labels.ids.max() <= len(labels.classes)  # no id is invented
        assert_aligned(out, labels, palette_data.palette)


def test_padding_is_grey_and_void(palette_data) -> None:
    image, panoptic = palette_data.load(0)  # 96 x 128
    rows = label_rows(panoptic, palette_data.taxonomy)
    config = replace(PLAIN, crop=(200, 160), scale_range=(1.0, 1.0), scale_relative_to="native", flip=0.0)
    config = replace(config, pad_position="bottom_right")
    out, labels = augment(image, rows, config, np.random.default_rng(0))
    assert np.array_equal(out[:, :96, :128].permute(1, 2, 0).numpy(), image)
    assert np.array_equal(labels.ids[:96, :128], rows.ids)
    assert (out[:, 96:] == PAD_VALUE).all()
    assert (out[:, :, 128:] == PAD_VALUE).all()
    assert not labels.ids[96:].any()
    assert not labels.ids[:, 128:].any()


def test_random_padding_keeps_the_whole_image_and_moves(palette_data) -> None:
    image, panoptic = palette_data.load(0)
    rows = label_rows(panoptic, palette_data.taxonomy)
    config = replace(
        PLAIN, crop=(200, 160), scale_range=(1.0, 1.0), scale_relative_to="native", flip=0.0, pad_position="random"
    )
    corners = set()
    for seed in range(20):
        out, labels = augment(image, rows, config, np.random.default_rng(seed))
        covered = ~(out == PAD_VALUE).all(0).numpy()
        top, left = covered.any(1).argmax(), covered.any(0).argmax()
        corners.add((top, left))
        assert np.array_equal(labels.ids[top : top + 96, left : left + 128], rows.ids)
        assert np.count_nonzero(labels.ids) == np.count_nonzero(rows.ids)
    assert len(corners) > 15


def test_flip_is_horizontal_and_its_own_inverse(palette_data) -> None:
    image, panoptic = palette_data.load(2)  # 65 x 65
    rows = label_rows(panoptic, palette_data.taxonomy)
    config = replace(PLAIN, crop=(65, 65), scale_range=(1.0, 1.0), flip=1.0)
    once, labels = augment(image, rows, config, np.random.default_rng(0))
    assert np.array_equal(once.permute(1, 2, 0).numpy(), image[:, ::-1])
    assert np.array_equal(labels.ids, rows.ids[:, ::-1])
    twice, labels = augment(once.permute(1, 2, 0).numpy(), labels, config, np.random.default_rng(1))
    assert np.array_equal(twice.permute(1, 2, 0).numpy(), image)
    assert np.array_equal(labels.ids, rows.ids)


def test_flip_rate() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    ids = np.zeros((8, 8), np.int16)
    ids[:, 0] = 1
    rows = LabelRows(ids, np.array([0]), np.array([False]))
    config = replace(PLAIN, crop=(8, 8), scale_range=(1.0, 1.0))
    flipped = sum(augment(image, rows, config, np.random.default_rng(seed))[1].ids[0, -1] == 1 for seed in range(400))
    assert 150 < flipped < 250


def test_crop_window_is_uniform_and_inside() -> None:
    rng = np.random.default_rng(0)
    tops, lefts = set(), set()
    for _ in range(400):
        window = draw_window((50, 70), (33, 65), 2.0, rng)
        assert (window.out_height, window.out_width) == (33, 65)
        assert (window.height, window.width) == (17, 33)
        assert window.top + window.height <= 50
        assert window.left + window.width <= 70
        tops.add(window.top)
        lefts.add(window.left)
    assert tops == set(range(34))
    assert lefts == set(range(38))


def test_an_axis_that_fits_is_kept_whole() -> None:
    window = draw_window((50, 400), (100, 100), 1.0, np.random.default_rng(0))
    assert (window.top, window.height, window.out_height) == (0, 50, 50)
    assert (window.width, window.out_width) == (100, 100)


@pytest.mark.parametrize("scale", [0.001, 0.37, 1.0, 1.913, 500.0])
def test_every_scale_gives_a_legal_window(scale: float) -> None:
    for source in ((1, 1), (3, 500), (480, 640)):
        window = draw_window(source, (65, 33), scale, np.random.default_rng(1))
        assert 1 <= window.height <= source[0] - window.top
        assert 1 <= window.width <= source[1] - window.left
        assert 1 <= window.out_height <= 65
        assert 1 <= window.out_width <= 33


def test_scales() -> None:
    rng = np.random.default_rng(0)
    stepped = {round(draw_scale(AugmentConfig(scale_range=(0.3, 1.7), scale_step=0.1), rng), 6) for _ in range(2000)}
    assert stepped == {round(0.3 + 0.1 * k, 6) for k in range(15)}
    free = [draw_scale(AugmentConfig(scale_range=(0.3, 1.7)), rng) for _ in range(2000)]
    assert min(free) >= 0.3
    assert max(free) <= 1.7
    assert abs(np.mean(free) - 1.0) < 0.03


def test_scale_one_means_fit_or_native() -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    rows = LabelRows(np.ones((50, 100), np.int16), np.array([0]), np.array([False]))
    config = replace(PLAIN, crop=(200, 200), scale_range=(1.0, 1.0))
    fit = augment(image, rows, config, np.random.default_rng(0))[1]
    assert fit.areas().tolist() == [100 * 200]
    native = augment(image, rows, replace(config, scale_relative_to="native"), np.random.default_rng(0))[1]
    assert native.areas().tolist() == [50 * 100]
    half = augment(image, rows, config, np.random.default_rng(0), scale_factor=0.5)[1]
    assert half.areas().tolist() == [50 * 100]


def test_color_leaves_labels_alone(palette_data) -> None:
    image, panoptic = palette_data.load(1)
    rows = label_rows(panoptic, palette_data.taxonomy)
    for config in (replace(PLAIN, ssd_jitter=True), replace(PLAIN, policy_magnitude=1.0)):
        out, labels = augment(image, rows, config, np.random.default_rng(4))
        again, labels_again = augment(image, rows, config, np.random.default_rng(4))
        assert torch.equal(out, again)
        assert np.array_equal(labels.ids, labels_again.ids)
        assert set(np.unique(labels.ids)) <= set(range(len(rows.classes) + 1))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"crop": (0, 65)}, "crop"),
        ({"scale_range": (0.0, 1.0)}, "scale_range"),
        ({"scale_range": (2.0, 1.0)}, "scale_range"),
        ({"short_side": (480, 0)}, "short_side"),
        ({"max_side": 1333}, "max_side"),
        ({"short_side": (480,), "max_side": 0}, "max_side"),
        ({"single_category_max_area": 0.0}, "single_category_max_area"),
        ({"single_category_max_area": 1.1}, "single_category_max_area"),
        ({"flip": 1.5}, "flip"),
        ({"copy_paste": -0.1}, "copy_paste"),
        ({"copy_paste_scale": 0.0}, "copy_paste_scale"),
        ({"min_pixels": -1}, "min_pixels"),
        ({"part": PartConfig(probability=1.5)}, "part.probability"),
        ({"part": PartConfig(short_side=())}, "part.short_side"),
        ({"part": PartConfig(sides=(600, 384))}, "part.sides"),
        ({"part": PartConfig(), "crop_on_thing": True}, "part"),
        ({"part": PartConfig(), "pairs": PairConfig()}, "part"),
    ],
)
def test_senseless_settings_are_named(change, field) -> None:
    with pytest.raises(UserError, match=f"augment.{field} "):
        replace(AugmentConfig(), **change).check()
