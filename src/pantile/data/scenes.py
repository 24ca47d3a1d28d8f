"""Scenes: an endless supply of generated panoptic images, for tests, tutorials and claims that need no download.

Three to five textured stuff regions with wavy borders; overlapping things over a wide range of sizes; rows of touching
things of one class and colour; classes that differ by texture only or by shape only; unlabelled patches; crowds of tiny
things; uneven light and noise. Image i of (seed, split) is always the same image.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.data.label_rows import count_pixels
from pantile.data.samples import Samples
from pantile.data.scene_shapes import THINGS, ThingKind
from pantile.data.scene_textures import STUFF, random_color, smooth_noise

THING_NAMES = tuple(THINGS)
STUFF_NAMES = tuple(STUFF)
MIN_VISIBLE_PIXELS = 8  # a thing of which less is seen becomes void: nobody could name it


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


@dataclass(frozen=True)
class _Thing:
    """One thing before it is painted. ``center`` is (y, x), lengths in pixels, ``angle`` in radians."""

    class_index: int
    center: tuple[float, float]
    radius: float
    angle: float
    color: np.ndarray
    outlined: bool

    @property
    def kind(self) -> ThingKind:
        return THINGS[THING_NAMES[self.class_index]]


class _Scene:
    """One image in the making, painted back to front.

    A pixel holds its segment's id, the number of the paint (a colour) and a factor of brightness; colours are mixed
    once, at the end.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.size = size
        self.brightness = np.ones(size, dtype=np.float32)
        self.paint = np.zeros(size, dtype=np.intp)
        self.paints: list[np.ndarray] = []
        self.ids = np.zeros(size, dtype=np.int32)
        self.segments: list[Segment] = []
        angle = rng.uniform(0, 2 * np.pi)
        self.light = np.array([np.sin(angle), np.cos(angle)], dtype=np.float32)

    def paint_stuff(self) -> None:
        """Each class owns the pixels where its smooth random field is the highest."""
        rng = self.rng
        chosen = rng.permutation(len(STUFF_NAMES))[: rng.integers(3, len(STUFF_NAMES) + 1)]
        fields = [smooth_noise(rng, self.size, (3, 3)) + 0.12 * smooth_noise(rng, self.size, (18, 18)) for _ in chosen]
        owner = np.argmax(np.stack(fields), axis=0)
        for position, stuff in enumerate(chosen.tolist()):
            texture, hue = STUFF[STUFF_NAMES[stuff]]
            color = random_color(rng, hue, 0.07, saturation=(0.15, 0.5), value=(0.45, 0.85))
            mask = owner == position
            if mask.any():
                segment_id = self._new_segment(len(THING_NAMES) + stuff)
                whole = slice(0, self.size[0]), slice(0, self.size[1])
                self._fill(mask, *whole, texture(rng, self.size), color, segment_id)

    def paint_things(self, with_crowd: bool, with_void: bool, twins: int = 0) -> None:
        """Larger things tend to lie behind smaller ones; crowd and void patches lie anywhere between."""
        rng = self.rng
        things = [self._random_thing() for _ in range(rng.integers(2, 8))]
        for _ in range(rng.integers(1, 3)):
            things += self._row_of_lookalikes()
        things += self._twins(twins)
        things.sort(key=lambda thing: -thing.radius * rng.uniform(0.5, 1.5))
        special = rng.integers(0, len(things) + 1, size=2)
        for position in range(len(things) + 1):
            if with_void and position == special[0]:
                self._paint_void_patch()
            if with_crowd and position == special[1]:
                self._paint_crowd()
            if position < len(things):
                self._paint(things[position], self._new_segment(things[position].class_index))

    def finish(self) -> tuple[np.ndarray, PanopticMap]:
        """Light, noise, 8 bits; and the table of what is still to be seen."""
        rng = self.rng
        brightness = self.brightness * (1 + 0.18 * smooth_noise(rng, self.size, (2, 2)))
        noise = rng.random((3, *self.size), dtype=np.float32)
        noise = (noise - np.float32(0.5)) * np.float32(rng.uniform(6, 30))
        image = np.empty((*self.size, 3), dtype=np.uint8)
        for channel, paints in enumerate(np.array(self.paints).T):
            image[..., channel] = (paints.take(self.paint) * brightness + noise[channel]).clip(0, 255)
        pixels = count_pixels(self.ids)
        visible = []
        for segment in self.segments:
            count = pixels.get(segment.id, 0)
            if count >= MIN_VISIBLE_PIXELS:
                visible.append(segment)
            elif count:
                self.ids[self.ids == segment.id] = VOID_ID
        return image, PanopticMap(self.ids, tuple(visible))

    def _new_segment(self, class_index: int, is_crowd: bool = False) -> int:
        self.segments.append(Segment(len(self.segments) + 1, class_index, is_crowd))
        return len(self.segments)

    def _fill(
        self, mask: np.ndarray, rows: slice, columns: slice, brightness: np.ndarray, color: np.ndarray, segment_id: int
    ) -> None:
        """Paints a part of the box ``rows, columns``; ``mask`` and ``brightness`` have the box's size."""
        np.copyto(self.brightness[rows, columns], brightness, where=mask, casting="same_kind")
        np.copyto(self.paint[rows, columns], len(self.paints), where=mask)
        np.copyto(self.ids[rows, columns], segment_id, where=mask)
        self.paints.append(color)

    def _random_thing(self) -> _Thing:
        rng = self.rng
        class_index = int(rng.integers(len(THING_NAMES)))
        kind = THINGS[THING_NAMES[class_index]]
        smallest, largest = kind.min_diameter / 2, max(min(self.size) / 4, kind.min_diameter / 2 + 1)
        return _Thing(
            class_index,
            center=(rng.uniform(0, self.size[0]), rng.uniform(0, self.size[1])),
            radius=float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))),
            angle=rng.uniform(0, 2 * np.pi),
            color=random_color(rng, kind.hue, 0.09, saturation=(0.55, 0.95), value=(0.55, 1.0)),
            outlined=rng.random() < 0.3,
        )

    def _row_of_lookalikes(self) -> list[_Thing]:
        """Two to five touching things of one class, colour and size."""
        rng = self.rng
        first = self._random_thing()
        radius = min(first.radius, min(self.size) / 8)
        direction = rng.uniform(0, 2 * np.pi)
        center, row = np.array(first.center), []
        for _ in range(rng.integers(2, 6)):
            turned = first.angle + rng.normal(0, 0.15)
            row.append(_Thing(first.class_index, (center[0], center[1]), radius, turned, first.color, first.outlined))
            heading = direction + rng.normal(0, 0.4)
            center = center + 2 * radius * rng.uniform(0.75, 0.95) * np.array([np.sin(heading), np.cos(heading)])
        return row

    def _twins(self, count: int) -> list[_Thing]:
        """Things of one class, colour and size, a sixth to a tenth of the image across, anywhere and turned anyhow."""
        if not count:
            return []
        rng = self.rng
        first = self._random_thing()
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

    def _paint(self, thing: _Thing, segment_id: int) -> None:
        corners = thing.radius * thing.kind.shape(self.rng)
        sine, cosine = np.sin(thing.angle), np.cos(thing.angle)
        turned = corners @ np.array([[cosine, sine], [-sine, cosine]]) + np.array(thing.center)[::-1]
        stencil, rows, columns = self._stencil(turned)
        if not stencil.any():
            return
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) - thing.center[0])[:, None]
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) - thing.center[1])[None, :]
        period = np.clip(thing.radius * 0.55, 4.5, 16)
        skin = thing.kind.skin(x * cosine + y * sine, y * cosine - x * sine, period)
        # each thing has its own bright and dark side, which is what tells touching look-alikes apart
        shade = 0.95 - 0.3 / thing.radius * (y * self.light[0] + x * self.light[1])
        if thing.outlined and thing.radius > 5:
            shade = np.where(stencil == 2, np.float32(0.4), shade)
        self._fill(stencil > 0, rows, columns, skin * shade, thing.color, segment_id)

    def _stencil(self, polygon: np.ndarray) -> tuple[np.ndarray, slice, slice]:
        """Rasterises a polygon (P, 2) of (x, y): 1 inside, 2 on the outline; and where in the image that box lies."""
        low, high = np.floor(polygon.min(axis=0)).astype(int), np.ceil(polygon.max(axis=0)).astype(int) + 1
        left, top = np.clip(low, 0, (self.size[1], self.size[0])).tolist()
        right, bottom = np.clip(high, 0, (self.size[1], self.size[0])).tolist()
        rows, columns = slice(top, max(bottom, top)), slice(left, max(right, left))
        box = (columns.stop - columns.start, rows.stop - rows.start)
        if 0 in box:
            return np.zeros(box[::-1], dtype=np.uint8), rows, columns
        picture = Image.new("L", box)
        points = [(x - left, y - top) for x, y in polygon.tolist()]
        ImageDraw.Draw(picture).polygon(points, fill=1, outline=2)
        return np.asarray(picture), rows, columns

    def _blob(self, radius: float) -> np.ndarray:
        """A round-ish polygon somewhere in the image."""
        rng = self.rng
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        reach = radius * rng.uniform(0.7, 1.2, 16)
        center = rng.uniform(0, 1, 2) * (self.size[1], self.size[0])
        return center + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]

    def _paint_void_patch(self) -> None:
        """An unlabelled, grey, blotchy patch."""
        stencil, rows, columns = self._stencil(self._blob(min(self.size) * self.rng.uniform(0.06, 0.16)))
        if stencil.any():
            blotches = 1 + 0.5 * smooth_noise(self.rng, stencil.shape, (6, 6))
            self._fill(stencil > 0, rows, columns, blotches, np.full(3, 128, np.float32), VOID_ID)

    def _paint_crowd(self) -> None:
        """Tiny things of one class in a heap, labelled as one crowd region together with the ground between them."""
        rng = self.rng
        class_index = int(rng.choice([k for k, name in enumerate(THING_NAMES) if THINGS[name].min_diameter <= 9]))
        kind = THINGS[THING_NAMES[class_index]]
        region = self._blob(min(self.size) * rng.uniform(0.07, 0.13))
        stencil, rows, columns = self._stencil(region)
        ys, xs = np.nonzero(stencil)
        if not len(ys):
            return
        segment_id = self._new_segment(class_index, is_crowd=True)
        self.ids[rows, columns][stencil > 0] = segment_id
        color = random_color(rng, kind.hue, 0.09, saturation=(0.55, 0.95), value=(0.55, 1.0))
        for pick in rng.integers(0, len(ys), max(len(ys) // 25, 6)).tolist():
            center = (float(rows.start + ys[pick]), float(columns.start + xs[pick]))
            radius = rng.uniform(2.2, 3.4)
            self._paint(_Thing(class_index, center, radius, rng.uniform(0, 6.28), color, False), segment_id)
