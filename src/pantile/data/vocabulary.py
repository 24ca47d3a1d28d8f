"""Made-up classes that can be told apart: shape x skin x colour for things, texture x colour for stuff."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np

from pantile.contracts.errors import UserError
from pantile.data import scene_shapes, scene_textures
from pantile.data.scene_shapes import Shape, ThingKind
from pantile.data.scene_textures import StuffTexture, random_color

HUES = ("red", "orange", "yellow", "lime", "green", "mint", "cyan", "azure", "blue", "violet", "magenta", "pink")
SHADES = {"": ((0.75, 0.95), (0.75, 1.0)), "pale ": ((0.22, 0.38), (0.8, 1.0))}  # ranges of saturation and value
SHAPES = ("disc", "box", "triangle", "star", "worm", "cross", "crescent", "arrow", "half_disc")
SKINS = ("plain", "striped", "dotted", "checked", "ringed", "wedged")
TEXTURES = ("sky", "grass", "water", "bricks", "gravel", "planks", "tiles", "dunes")
HUE_SPREAD = 0.01  # a twelfth lies between two hues
STUFF_EVERY = 7  # of that many classes the first is stuff
MIN_DIAMETER = 18  # below it, skins of few pixels look alike


@dataclass(frozen=True)
class MadeUpClass:
    """
    Attributes:
        name: colour, skin and shape, or colour and texture.
        look: what its regions are painted with: a kind of thing, or the texture of stuff.
        color: draws (3,) RGB, 0..255.
    """

    name: str
    look: ThingKind | StuffTexture
    color: Callable[[np.random.Generator], np.ndarray]

    @property
    def is_thing(self) -> bool:
        return isinstance(self.look, ThingKind)


def made_up_classes(count: int) -> tuple[MadeUpClass, ...]:
    """The first classes of a long list; always the same, so that fewer classes are some of more.

    Args:
        count: 2 or more; the first of every seven is stuff.

    Raises:
        UserError: there are not so many.
    """
    stuff, things = _combinations()
    limit = len(stuff) * STUFF_EVERY
    if not 2 <= count <= limit:
        raise UserError(
            f"Generated scenes have 2 to {limit} classes, not {count}: give a number of classes in between."
        )
    queues = iter(stuff), iter(things)
    return tuple(next(queues[k % STUFF_EVERY != 0]) for k in range(count))


@cache
def _combinations() -> tuple[tuple[MadeUpClass, ...], tuple[MadeUpClass, ...]]:
    """All stuff and all things, in an order in which neighbours differ in every way."""
    shades = [(shade, hue) for shade in SHADES for hue in range(len(HUES))]
    stuff = [_stuff(*shade, texture) for shade, texture in product(shades, TEXTURES)]
    things = [_thing(*shade, skin, shape) for shade, skin, shape in product(shades, SKINS, SHAPES)]
    rng = np.random.default_rng(0)
    stuff, things = (tuple(rows[k] for k in rng.permutation(len(rows))) for rows in (stuff, things))
    return stuff, things


def _thing(shade: str, hue: int, skin: str, shape: str) -> MadeUpClass:
    drawn: Shape = getattr(scene_shapes, shape)
    kind = ThingKind(drawn, getattr(scene_textures, skin), hue / len(HUES), MIN_DIAMETER)
    words = [shade.strip(), HUES[hue], "" if skin == "plain" else skin, shape.replace("_", " ")]
    return MadeUpClass(" ".join(filter(None, words)), kind, _color(shade, hue))


def _stuff(shade: str, hue: int, texture: str) -> MadeUpClass:
    return MadeUpClass(f"{shade}{HUES[hue]} {texture}", getattr(scene_textures, texture), _color(shade, hue, 0.75))


def _color(shade: str, hue: int, dimmed: float = 1.0) -> Callable[[np.random.Generator], np.ndarray]:
    saturation, (low, high) = SHADES[shade]
    value = low * dimmed, high * dimmed
    return partial(random_color, hue=hue / len(HUES), spread=HUE_SPREAD, saturation=saturation, value=value)
