"""Scenes: an endless supply of generated panoptic images, for tests, tutorials and claims that need no download.

Three to five textured stuff regions with wavy borders; overlapping things over a wide range of sizes; rows of touching
things of one class and colour; classes that differ by texture only or by shape only; unlabelled patches; crowds of tiny
things; uneven light and noise. Image i of (seed, split) is always the same image.
"""

import zlib
from dataclasses import replace
from functools import partial

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.data.samples import Samples
from pantile.data.scene_canvas import Canvas, Ground, Thing
from pantile.data.scene_shapes import THINGS
from pantile.data.scene_textures import STUFF, random_color

THING_NAMES = tuple(THINGS)
STUFF_NAMES = tuple(STUFF)


class Scenes(Samples):
    """Generated scenes as a data set: seven thing classes, five stuff classes.

    Args:
        length: number of images.
        size: (height, width) in pixels.
        seed: another seed gives other images.
        split: so does another split.
        crowd_probability: share of the images with a crowd region.
        void_probability: share of the images with unlabelled patches.
        twins: so many large things of one class, colour and size all over each image: what a crop that shows one of
            them does not say.
    """

    def __init__(
        self,
        length: int = 1000,
        size: tuple[int, int] = (257, 257),
        seed: int = 0,
        split: str = "train",
        crowd_probability: float = 0.25,
        void_probability: float = 0.5,
        twins: int = 0,
    ) -> None:
        if min(size) < 16:
            raise UserError(f"The size of generated scenes is {size}: height and width must be at least 16.")
        self.taxonomy: Taxonomy = plain_taxonomy(THING_NAMES + STUFF_NAMES, things=THING_NAMES)
        self.length = length
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        self.split = split
        self.crowd_probability = crowd_probability
        self.void_probability = void_probability
        self.twins = twins

    def __len__(self) -> int:
        return self.length

    def name_of(self, index: int) -> str:
        return f"scene_{self.split}_{index:06d}.png"

    def image_id(self, index: int) -> int:
        return index + 1

    def segment_counts(self) -> list[int]:
        return []

    def load_image(self, index: int) -> np.ndarray:
        return self.load(index)[0]

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        if not 0 <= index < self.length:
            raise IndexError(f"image {index} of {self.length}")
        rng = np.random.default_rng([self.seed, zlib.crc32(self.split.encode()), index])
        scene = _Scene(rng, self.size)
        scene.paint_stuff()
        scene.paint_things(
            with_crowd=rng.random() < self.crowd_probability,
            with_void=rng.random() < self.void_probability,
            twins=self.twins,
        )
        return scene.finish()


class _Scene(Canvas):
    """One scene in the making."""

    def paint_stuff(self) -> None:
        rng = self.rng
        chosen = rng.permutation(len(STUFF_NAMES))[: rng.integers(3, len(STUFF_NAMES) + 1)]
        self.paint_grounds([stuff_ground(stuff) for stuff in chosen.tolist()])

    def paint_things(self, with_crowd: bool, with_void: bool, twins: int = 0) -> None:
        """Larger things tend to lie behind smaller ones; crowd and void patches lie anywhere between."""
        rng = self.rng
        things = [random_thing(self.rng, self.size) for _ in range(rng.integers(2, 8))]
        for _ in range(rng.integers(1, 3)):
            things += self._row_of_lookalikes()
        things += self._twins(twins)
        things.sort(key=lambda thing: -thing.radius * rng.uniform(0.5, 1.5))
        special = rng.integers(0, len(things) + 1, size=2)
        for position in range(len(things) + 1):
            if with_void and position == special[0]:
                self.paint_void_patch()
            if with_crowd and position == special[1]:
                self._paint_crowd()
            if position < len(things):
                self.paint_thing(things[position], self.new_segment(things[position].class_index))

    def _row_of_lookalikes(self) -> list[Thing]:
        """Two to five touching things of one class, colour and size."""
        rng = self.rng
        first = random_thing(self.rng, self.size)
        radius = min(first.radius, min(self.size) / 8)
        direction = rng.uniform(0, 2 * np.pi)
        center, row = np.array(first.center), []
        for _ in range(rng.integers(2, 6)):
            turned = first.angle + rng.normal(0, 0.15)
            row.append(
                Thing(
                    first.class_index, first.kind, (center[0], center[1]), radius, turned, first.color, first.outlined
                )
            )
            heading = direction + rng.normal(0, 0.4)
            center = center + 2 * radius * rng.uniform(0.75, 0.95) * np.array([np.sin(heading), np.cos(heading)])
        return row

    def _twins(self, count: int) -> list[Thing]:
        """Things of one class, colour and size, a sixth to a tenth of the image across, anywhere and turned anyhow."""
        if not count:
            return []
        rng = self.rng
        first = random_thing(self.rng, self.size)
        radius = min(self.size) * rng.uniform(0.05, 0.08)
        return [
            replace(
                first,
                center=(rng.uniform(0, self.size[0]), rng.uniform(0, self.size[1])),
                radius=radius,
                angle=rng.uniform(0, 2 * np.pi),
            )
            for _ in range(count)
        ]

    def _paint_crowd(self) -> None:
        """Tiny things of one class in a heap, labelled as one crowd region together with the ground between them."""
        rng = self.rng
        class_index = int(rng.choice([k for k, name in enumerate(THING_NAMES) if THINGS[name].min_diameter <= 9]))
        kind = THINGS[THING_NAMES[class_index]]
        region = self.blob(min(self.size) * rng.uniform(0.07, 0.13))
        stencil, rows, columns = self.stencil(region)
        ys, xs = np.nonzero(stencil)
        if not len(ys):
            return
        segment_id = self.new_segment(class_index, is_crowd=True)
        self.ids[rows, columns][stencil > 0] = segment_id
        color = random_color(rng, kind.hue, 0.09, saturation=(0.55, 0.95), value=(0.55, 1.0))
        for pick in rng.integers(0, len(ys), max(len(ys) // 25, 6)).tolist():
            center = (float(rows.start + ys[pick]), float(columns.start + xs[pick]))
            radius = rng.uniform(2.2, 3.4)
            self.paint_thing(Thing(class_index, kind, center, radius, rng.uniform(0, 6.28), color, False), segment_id)


def random_thing(rng: np.random.Generator, size: tuple[int, int]) -> Thing:
    """A thing of any class, anywhere in an image of (height, width), from tiny to half of it across."""
    class_index = int(rng.integers(len(THING_NAMES)))
    kind = THINGS[THING_NAMES[class_index]]
    smallest, largest = kind.min_diameter / 2, max(min(size) / 4, kind.min_diameter / 2 + 1)
    return Thing(
        class_index,
        kind,
        center=(rng.uniform(0, size[0]), rng.uniform(0, size[1])),
        radius=float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))),
        angle=rng.uniform(0, 2 * np.pi),
        color=random_color(rng, kind.hue, 0.09, saturation=(0.55, 0.95), value=(0.55, 1.0)),
        outlined=rng.random() < 0.3,
    )


def stuff_ground(stuff: int) -> Ground:
    """Of a position in ``STUFF_NAMES``."""
    texture, hue = STUFF[STUFF_NAMES[stuff]]
    color = partial(random_color, hue=hue, spread=0.07, saturation=(0.15, 0.5), value=(0.45, 0.85))
    return Ground(len(THING_NAMES) + stuff, texture, color)
