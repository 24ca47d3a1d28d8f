"""Colour operations against Pillow and against a naive loop."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from pantile.data import color
from pantile.data.color import POLICY, apply_operation, color_policy, ssd_jitter
from pantile.data.resize import image_tensor

PILLOW = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def picture(seed: int = 0, size: tuple[int, int] = (24, 31)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return np.array(small.resize(size[::-1], Image.Resampling.BICUBIC))


@pytest.mark.parametrize("operation", sorted(PILLOW))
@pytest.mark.parametrize("magnitude", [0.2, 1, 5, 9, 10])
def test_enhancements_equal_pillow(operation: str, magnitude: float) -> None:
    image = picture()
    factor = magnitude / 10 * 1.8 + 0.1
    expected = np.asarray(PILLOW[operation](Image.fromarray(image)).enhance(factor)).astype(int)
    result = apply_operation(image_tensor(image), operation, magnitude).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(result - expected).max() <= 2  # grey levels: Pillow rounds the blend partner to 8 bits


def test_equalize_and_solarize_equal_pillow() -> None:
    image = picture()
    equalized = apply_operation(image_tensor(image), "equalize", 7).permute(1, 2, 0).numpy()
    assert np.array_equal(equalized, np.asarray(ImageOps.equalize(Image.fromarray(image))))
    solarized = apply_operation(image_tensor(image), "solarize", 7).permute(1, 2, 0).numpy()
    assert np.array_equal(solarized, np.asarray(ImageOps.solarize(Image.fromarray(image), int(0.7 * 256))))
    assert np.array_equal(apply_operation(image_tensor(image), "solarize", 10).permute(1, 2, 0).numpy(), image)


def test_policy_draws_each_operation_at_its_rate(monkeypatch) -> None:
    """Rates of the table: probability of the operation, times one in five per pair."""
    calls: list[tuple[str, float]] = []
    monkeypatch.setattr(
        color, "apply_operation", lambda image, name, magnitude: calls.append((name, magnitude)) or image
    )
    rng, draws = np.random.default_rng(0), 20000
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    for _ in range(draws):
        color_policy(image, rng, 0.2)
    expected = dict.fromkeys([(name, round(m * 0.2, 6)) for pair in POLICY for name, _, m in pair], 0.0)
    for pair in POLICY:
        for name, probability, magnitude in pair:
            expected[name, round(magnitude * 0.2, 6)] += probability / 5
    for (name, magnitude), rate in expected.items():
        seen = sum(1 for n, m in calls if (n, round(m, 6)) == (name, magnitude)) / draws
        assert abs(seen - rate) < 0.006, (name, magnitude, seen, rate)


# Table 2 of SWideRNet (Chen et al. 2020) as printed: operation, probability, magnitude; Color is saturation
TABLE_2 = """
Sharpness 0.4 1.4   Brightness 0.2 2.0
Equalize  0   1.8   Contrast   0.2 2.0
Sharpness 0.2 1.8   Color      0.2 1.8
Solarize  0.2 1.4   Equalize   0.6 1.8
Sharpness 0.2 0.2   Equalize   0.2 1.4
"""


def test_policy_is_the_table_of_the_paper() -> None:
    """The paper prints the magnitudes that deeplab2 uses on Cityscapes: a fifth of those of its COCO policy."""
    printed = []
    for line in TABLE_2.lower().replace("color ", "saturation ").strip().splitlines():
        words = line.split()
        printed.append(tuple((words[i], float(words[i + 1]), float(words[i + 2])) for i in (0, 3)))
    ours = [tuple((name, p, round(magnitude * 0.2, 9)) for name, p, magnitude in pair) for pair in POLICY]
    assert ours == printed


def naive_ssd(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixel by pixel in floating point, with the draws in the documented order."""
    happens, contrast_first = rng.random(4) < 0.5, rng.random() < 0.5
    shift = rng.uniform(-32, 32) if happens[0] else 0.0
    contrast = rng.uniform(0.5, 1.5) if happens[1] else 1.0
    saturation = rng.uniform(0.5, 1.5) if happens[2] else 1.0
    hue = rng.uniform(-0.1, 0.1) if happens[3] else 0.0
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape[:2]):
        pixel = [min(max(v + shift, 0), 255) for v in image[index].astype(float)]
        if contrast_first:
            pixel = [min(v * contrast, 255) for v in pixel]
        h, s, v = colorsys.rgb_to_hsv(*(p / 255 for p in pixel))
        pixel = [255 * p for p in colorsys.hsv_to_rgb((h + hue) % 1, min(s * saturation, 1), v)]
        if not contrast_first:
            pixel = [min(v * contrast, 255) for v in pixel]
        out[index] = np.rint(pixel)
    return out


@pytest.mark.parametrize("seed", range(40))
def test_ssd_jitter_equals_a_loop(seed: int) -> None:
    image = picture(seed, (12, 15))
    result = ssd_jitter(image_tensor(image), np.random.default_rng(seed)).permute(1, 2, 0).numpy()
    expected = naive_ssd(image, np.random.default_rng(seed))
    # the colour cube is off by a few levels where a clip or a change of hue sector falls within a cell
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 5
    assert np.abs(result.astype(int) - expected.astype(int)).mean() <= 0.4


def test_ssd_jitter_is_pointwise_and_reproducible() -> None:
    image = np.tile(picture(3, (6, 6)), (2, 2, 1))
    for seed in range(8):
        result = ssd_jitter(image_tensor(image), np.random.default_rng(seed))
        assert torch.equal(result[:, :6, :6], result[:, 6:, 6:])
        assert torch.equal(result, ssd_jitter(image_tensor(image), np.random.default_rng(seed)))
        assert result.dtype == torch.uint8
