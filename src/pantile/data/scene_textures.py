"""Procedural textures of the generated scenes: factors of brightness, (h, w) float32 around 1."""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 of smooth noise, mostly -1..1: random values on a grid of ``cells``, bicubic between them."""
    grid = rng.uniform(-1, 1, (cells[0] + 1, cells[1] + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def random_color(
    rng: np.random.Generator, hue: float, spread: float, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
    """(3,) float32 RGB, 0..255, around a hue; hue, saturation and value lie in 0..1."""
    hsv = (rng.normal(hue, spread) % 1.0, rng.uniform(*saturation), rng.uniform(*value))
    return np.array(colorsys.hsv_to_rgb(*hsv), dtype=np.float32) * 255


def sky(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A vertical gradient with soft clouds."""
    ramp = np.linspace(1.15, 0.85, size[0], dtype=np.float32)[:, None]
    return ramp + 0.12 * smooth_noise(rng, size, (4, 6))


def grass(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Fine upright strokes."""
    strokes = smooth_noise(rng, size, (max(size[0] // 9, 1), max(size[1] // 2, 1)))
    return 1 + 0.3 * strokes


def water(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Horizontal ripples whose phase wanders."""
    rows = np.arange(size[0], dtype=np.float32)[:, None]
    phase = 4 * smooth_noise(rng, size, (max(size[0] // 40, 1), max(size[1] // 25, 1)))
    return 1 + 0.22 * np.sin(rows * np.float32(rng.uniform(0.6, 0.9)) + phase)


def bricks(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Courses of bricks, each brick its own shade, with light mortar."""
    high, wide = int(rng.integers(7, 11)), int(rng.integers(14, 21))
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None, :]
    course = rows // high
    shifted = columns + (course % 2) * (wide // 2)
    shades = rng.uniform(0.8, 1.15, (size[0] // high + 1, size[1] // wide + 2)).astype(np.float32)
    shade = shades[course, shifted // wide]
    mortar = (rows % high == 0) | (shifted % wide == 0)
    return np.where(mortar, np.float32(1.35), shade)


def gravel(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Round-ish speckles of two tones."""
    stones = smooth_noise(rng, size, (max(size[0] // 4, 1), max(size[1] // 4, 1)))
    return np.where(stones > 0.1, np.float32(1.15), np.float32(0.85)) + 0.1 * stones


def planks(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Upright planks, each its own shade, with dark gaps."""
    wide = int(rng.integers(9, 14))
    columns = np.arange(size[1])
    shades = rng.uniform(0.8, 1.2, size[1] // wide + 1).astype(np.float32)
    row = np.where(columns % wide < 2, np.float32(0.5), shades[columns // wide])
    return np.broadcast_to(row, size)


def tiles(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A board of two tones."""
    wide = int(rng.integers(8, 13))
    rows, columns = np.arange(size[0])[:, None] // wide, np.arange(size[1])[None, :] // wide
    return np.where((rows + columns) % 2 == 0, np.float32(1.2), np.float32(0.75))


def dunes(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Broad slanting waves."""
    slant = np.arange(size[0], dtype=np.float32)[:, None] + np.arange(size[1], dtype=np.float32)[None, :]
    phase = 2 * smooth_noise(rng, size, (2, 2))
    return 1 + 0.3 * np.sin(slant * np.float32(rng.uniform(0.13, 0.18)) + phase)


StuffTexture = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

# name -> texture and the hue around which its colour lies; hues overlap, so that colour alone does not decide
STUFF: dict[str, tuple[StuffTexture, float]] = {
    "sky": (sky, 0.57),
    "grass": (grass, 0.28),
    "water": (water, 0.53),
    "bricks": (bricks, 0.06),
    "gravel": (gravel, 0.12),
}


def plain(along: np.ndarray, across: np.ndarray, period: float) -> np.ndarray:
    """Skin of a thing: none. Coordinates in pixels, turned with the thing; gives a brightness factor."""
    return np.ones(np.broadcast_shapes(along.shape, across.shape), dtype=np.float32)


def striped(along: np.ndarray, across: np.ndarray, period: float) -> np.ndarray:
    """Skin of a thing: stripes."""
    return np.where(np.sin(along * (2 * np.pi / period)) > 0, np.float32(1.1), np.float32(0.55))


def dotted(along: np.ndarray, across: np.ndarray, period: float) -> np.ndarray:
    """Skin of a thing: a lattice of dark dots."""
    wave = np.cos(along * (2 * np.pi / period)) * np.cos(across * (2 * np.pi / period))
    return np.where(wave > 0.35, np.float32(0.45), np.float32(1.1))


def checked(along: np.ndarray, across: np.ndarray, period: float) -> np.ndarray:
    """Skin of a thing: a board of two tones."""
    wave = np.sin(along * (2 * np.pi / period)) * np.sin(across * (2 * np.pi / period))
    return np.where(wave > 0, np.float32(1.1), np.float32(0.55))


def ringed(along: np.ndarray, across: np.ndarray, period: float) -> np.ndarray:
    """Skin of a thing: rings about its centre."""
    return np.where(np.cos(np.hypot(along, across) * (2 * np.pi / period)) > 0, np.float32(0.55), np.float32(1.1))


def wedged(along: np.ndarray, across: np.ndarray, period: float) -> np.ndarray:
    """Skin of a thing: eight sectors of two tones."""
    return np.where(np.sin(4 * np.arctan2(across, along)) > 0, np.float32(1.1), np.float32(0.5))
