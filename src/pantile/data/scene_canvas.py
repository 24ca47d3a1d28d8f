"""Canvas: one generated image in the making, painted back to front."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.data.label_rows import count_pixels
from pantile.data.scene_shapes import ThingKind
from pantile.data.scene_textures import StuffTexture, smooth_noise

MIN_VISIBLE_PIXELS = 8  # a thing of which less is seen becomes void: nobody could name it


@dataclass(frozen=True)
class Thing:
    """One thing before it is painted. ``center`` is (y, x), lengths in pixels, ``angle`` in radians."""

    class_index: int
    kind: ThingKind
    center: tuple[float, float]
    radius: float
    angle: float
    color: np.ndarray
    outlined: bool


@dataclass(frozen=True)
class Ground:
    """One class of stuff before it is painted; ``color`` draws its (3,) RGB, 0..255."""

    class_index: int
    texture: StuffTexture
    color: Callable[[np.random.Generator], np.ndarray]


class Canvas:
    """A pixel holds its segment's id, the number of the paint (a colour) and a factor of brightness.

    Colours are mixed once, at the end.

    Args:
        rng: of the image; every stroke draws from it.
        size: (height, width).
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.size = size
        self.brightness = np.ones(size, dtype=np.float32)
        self.paints: list[np.ndarray] = []
        self.paint = np.zeros(size, dtype=np.intp)
        self.ids = np.zeros(size, dtype=np.int32)
        self.segments: list[Segment] = []
        angle = rng.uniform(0, 2 * np.pi)
        self.light = np.array([np.sin(angle), np.cos(angle)], dtype=np.float32)

    def new_segment(self, class_index: int, is_crowd: bool = False) -> int:
        """Enters a row into the table and returns its id."""
        self.segments.append(Segment(len(self.segments) + 1, class_index, is_crowd))
        return len(self.segments)

    def paint_grounds(self, grounds: Sequence[Ground]) -> None:
        """Each class owns the pixels where its smooth random field is the highest."""
        rng = self.rng
        fields = [smooth_noise(rng, self.size, (3, 3)) + 0.12 * smooth_noise(rng, self.size, (18, 18)) for _ in grounds]
        owner = np.argmax(np.stack(fields), axis=0)
        whole = slice(0, self.size[0]), slice(0, self.size[1])
        for position, ground in enumerate(grounds):
            color = ground.color(rng)
            mask = owner == position
            if mask.any():
                segment_id = self.new_segment(ground.class_index)
                self.fill(mask, *whole, ground.texture(rng, self.size), color, segment_id)

    def fill(
        self, mask: np.ndarray, rows: slice, columns: slice, brightness: np.ndarray, color: np.ndarray, segment_id: int
    ) -> None:
        """Paints a part of the box ``rows, columns``; ``mask`` and ``brightness`` have the box's size."""
        np.copyto(self.brightness[rows, columns], brightness, where=mask, casting="same_kind")
        np.copyto(self.paint[rows, columns], len(self.paints), where=mask)
        np.copyto(self.ids[rows, columns], segment_id, where=mask)
        self.paints.append(color)

    def paint_thing(self, thing: Thing, segment_id: int) -> None:
        corners = thing.radius * thing.kind.shape(self.rng)
        sine, cosine = np.sin(thing.angle), np.cos(thing.angle)
        turned = corners @ np.array([[cosine, sine], [-sine, cosine]]) + np.array(thing.center)[::-1]
        stencil, rows, columns = self.stencil(turned)
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
        self.fill(stencil > 0, rows, columns, skin * shade, thing.color, segment_id)

    def stencil(self, polygon: np.ndarray) -> tuple[np.ndarray, slice, slice]:
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

    def blob(self, radius: float) -> np.ndarray:
        """A round-ish polygon somewhere in the image."""
        rng = self.rng
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        reach = radius * rng.uniform(0.7, 1.2, 16)
        center = rng.uniform(0, 1, 2) * (self.size[1], self.size[0])
        return center + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]

    def paint_void_patch(self) -> None:
        """An unlabelled, grey, blotchy patch."""
        stencil, rows, columns = self.stencil(self.blob(min(self.size) * self.rng.uniform(0.06, 0.16)))
        if stencil.any():
            blotches = 1 + 0.5 * smooth_noise(self.rng, stencil.shape, (6, 6))
            self.fill(stencil > 0, rows, columns, blotches, np.full(3, 128, np.float32), VOID_ID)

    def finish(self, noise: np.random.Generator | None = None) -> tuple[np.ndarray, PanopticMap]:
        """Light, noise, 8 bits; and the table of what is still to be seen.

        Args:
            noise: draws the noise, where it is to differ between images of one light; None is the image's own.
        """
        rng = self.rng
        brightness = self.brightness * (1 + 0.18 * smooth_noise(rng, self.size, (2, 2)))
        grain = (rng if noise is None else noise).random((3, *self.size), dtype=np.float32)
        grain = (grain - np.float32(0.5)) * np.float32(rng.uniform(6, 30))
        image = np.empty((*self.size, 3), dtype=np.uint8)
        for channel, paints in enumerate(np.array(self.paints).T):
            image[..., channel] = (paints.take(self.paint) * brightness + grain[channel]).clip(0, 255)
        pixels = count_pixels(self.ids)
        visible = []
        for segment in self.segments:
            count = pixels.get(segment.id, 0)
            if count >= MIN_VISIBLE_PIXELS:
                visible.append(segment)
            elif count:
                self.ids[self.ids == segment.id] = VOID_ID
        return image, PanopticMap(self.ids, tuple(visible))
