"""Shapes and classes of the things in generated scenes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pantile.data.scene_textures import dotted, plain, striped

# A shape is a polygon (P, 2) of (x, y) within the unit circle, unrotated.
Shape = Callable[[np.random.Generator], np.ndarray]


def disc(rng: np.random.Generator) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle) * rng.uniform(0.8, 1.0)], axis=1)


def box(rng: np.random.Generator) -> np.ndarray:
    half = np.array([1.0, rng.uniform(0.55, 1.0)]) / np.sqrt(2)
    return half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


def triangle(rng: np.random.Generator) -> np.ndarray:
    angle = np.array([0, 1, 2]) * (2 * np.pi / 3) + rng.uniform(-0.25, 0.25, 3)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def star(rng: np.random.Generator) -> np.ndarray:
    angle = np.arange(10) * (np.pi / 5)
    radius = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.38, 0.48))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]


def worm(rng: np.random.Generator) -> np.ndarray:
    """A bent band: long, thin, not convex."""
    along = np.linspace(-1, 1, 14)
    bend = rng.uniform(0.25, 0.5) * np.sin(along * rng.uniform(2.0, 3.5) + rng.uniform(0, np.pi))
    thickness = 0.17 * np.sqrt(np.clip(1.05 - along**2, 0, 1))
    upper, lower = np.stack([along, bend - thickness], 1), np.stack([along, bend + thickness], 1)
    polygon = np.concatenate([upper, lower[::-1]])
    return polygon / np.abs(polygon).max()


def cross(rng: np.random.Generator) -> np.ndarray:
    arm = rng.uniform(0.26, 0.36)
    quarter = np.array([[1.0, -arm], [1.0, arm], [arm, arm]])
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    polygon = np.concatenate([quarter @ turn for turn in turns])
    return polygon / np.hypot(*polygon.T).max()


def crescent(rng: np.random.Generator) -> np.ndarray:
    """A disc from which another one is cut."""
    outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 22)
    inner = np.linspace(1.75 * np.pi, 0.25 * np.pi, 14)
    depth = rng.uniform(0.3, 0.5)
    tips, bend = np.cos(inner), np.cos(0.25 * np.pi)
    bowl = np.stack([tips + (1 - depth) * (bend - tips), np.sin(inner)], axis=1)
    return np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), bowl[1:-1]])


def arrow(rng: np.random.Generator) -> np.ndarray:
    shaft, head = rng.uniform(0.16, 0.26), rng.uniform(-0.05, 0.2)
    return np.array([[1, 0], [head, 0.8], [head, shaft], [-0.97, shaft], [-0.97, -shaft], [head, -shaft], [head, -0.8]])


def half_disc(rng: np.random.Generator) -> np.ndarray:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 18)
    return np.stack([np.cos(angle) - rng.uniform(0.0, 0.15), np.sin(angle)], axis=1) / 1.05


@dataclass(frozen=True)
class ThingKind:
    """A thing class: shape, skin, the hue around which it is coloured, and the smallest diameter in pixels at which
    it can be told from its look-alikes."""

    shape: Shape
    skin: Callable
    hue: float
    min_diameter: float


# Look-alikes share a hue: disc / striped_disc and box / dotted_box differ by texture only, triangle / star by shape
# only. The hues of the pairs spread into each other.
THINGS: dict[str, ThingKind] = {
    "disc": ThingKind(disc, plain, 0.98, 6),
    "striped_disc": ThingKind(disc, striped, 0.98, 14),
    "box": ThingKind(box, plain, 0.75, 7),
    "dotted_box": ThingKind(box, dotted, 0.75, 18),
    "triangle": ThingKind(triangle, plain, 0.17, 9),
    "star": ThingKind(star, plain, 0.17, 12),
    "worm": ThingKind(worm, plain, 0.42, 24),
}
