"""VideoScenes: generated videos with panoptic maps whose ids are the same over frames.

The classes and looks are those of ``Scenes``, in motion: the ground is a part of a larger one over which the view pans;
things drift and turn; pairs, mostly lookalikes, cross in the middle of the video, so that one passes behind the other;
and small things leave the view and come back. Light and shapes stay, noise is new in every frame. Frame t of video v of
(seed, split) is always the same frame, and no frame needs another.
"""

import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.contracts.videos import Video
from pantile.data.samples import Samples
from pantile.data.scene_canvas import Canvas, Thing
from pantile.data.scenes import STUFF_NAMES, THING_NAMES, random_thing, stuff_ground

PAN = 0.25  # of the view's size: how far it moves to each side over the ground
LONGEST_ABSENCE = 48  # frames of a swing over the border, of which a third is spent outside
SPEED = 0.03  # of the view's size per frame: the fastest that drifting and crossing things move


@dataclass(frozen=True)
class Swing:
    """A way: to and fro through a point.

    Attributes:
        middle: (2,) row and column in pixels, where the thing is at ``time``.
        reach: (2,) pixels, how far it goes from there.
        period: frames for a full swing.
        time: in frames.
        turn: radians per frame.
    """

    middle: np.ndarray
    reach: np.ndarray
    period: float
    time: float
    turn: float = 0.0

    def at(self, frame: int) -> tuple[float, float]:
        """(row, column) of the centre."""
        y, x = self.middle + self.reach * np.sin(2 * np.pi * (frame - self.time) / self.period)
        return float(y), float(x)


@dataclass(frozen=True)
class Script:
    """What happens in a video, painted back to front.

    Attributes:
        owner: (H', W') int64, the stuff of each pixel of the ground.
        brightness: (H', W') float32.
        grounds: (class index, (3,) colour) of each stuff.
        view: way of the view's upper left corner over the ground.
        things: with the shape that each keeps, and their ways.
    """

    owner: np.ndarray
    brightness: np.ndarray
    grounds: list[tuple[int, np.ndarray]]
    view: Swing
    things: list[tuple[Thing, Swing]]


class VideoScenes(Samples):
    """Generated videos as a data set of frames: seven thing classes, five stuff classes.

    Args:
        videos: number of videos.
        frames: of each.
        size: (height, width) in pixels.
        seed: another seed gives other videos.
        split: so does another split.

    Attributes:
        videos: their frames, one after the other.
    """

    def __init__(
        self,
        videos: int = 100,
        frames: int = 16,
        size: tuple[int, int] = (257, 257),
        seed: int = 0,
        split: str = "train",
    ) -> None:
        if min(size) < 32:
            raise UserError(f"The size of generated videos is {size}: height and width must be at least 32.")
        if frames < 1:
            raise UserError(f"Generated videos have {frames} frames: give at least 1.")
        self.taxonomy: Taxonomy = plain_taxonomy(THING_NAMES + STUFF_NAMES, things=THING_NAMES)
        self.frames = frames
        self.size = (int(size[0]), int(size[1]))
        self.seed = seed
        self.split = split
        names = (f"video_{split}_{number:05d}" for number in range(videos))
        self.videos = tuple(Video(name, range(n * frames, (n + 1) * frames)) for n, name in enumerate(names))

    def __len__(self) -> int:
        return len(self.videos) * self.frames

    def name_of(self, index: int) -> str:
        return f"{self.videos[index // self.frames].name}/{index % self.frames:05d}.png"

    def image_id(self, index: int) -> int:
        return index + 1

    def segment_counts(self) -> list[int]:
        return []

    def load_image(self, index: int) -> np.ndarray:
        return self.load(index)[0]

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        video, frame = divmod(index, self.frames)
        seeds = (self.seed, zlib.crc32(self.split.encode()), video)
        return _paint(_script(seeds, self.size, self.frames), self.size, frame, seeds)


def _paint(
    script: Script, size: tuple[int, int], frame: int, seeds: tuple[int, int, int]
) -> tuple[np.ndarray, PanopticMap]:
    canvas = Canvas(np.random.default_rng([*seeds, 1]), size)  # the same light in every frame
    top, left = (round(offset) for offset in script.view.at(frame))
    view = slice(top, top + size[0]), slice(left, left + size[1])
    whole = slice(0, size[0]), slice(0, size[1])
    for number, (class_index, color) in enumerate(script.grounds):
        segment_id = canvas.new_segment(class_index)
        canvas.fill(script.owner[view] == number, *whole, script.brightness[view], color, segment_id)
    for thing, way in script.things:
        moved = replace(thing, center=way.at(frame), angle=thing.angle + way.turn * frame)
        canvas.paint_thing(moved, canvas.new_segment(thing.class_index))
    return canvas.finish(np.random.default_rng([*seeds, 2, frame]))


@lru_cache(maxsize=4)
def _script(seeds: tuple[int, int, int], size: tuple[int, int], frames: int) -> Script:
    rng = np.random.default_rng([*seeds, 0])
    margin = [int(side * PAN) for side in size]
    ground = Canvas(rng, (size[0] + 2 * margin[0], size[1] + 2 * margin[1]))
    chosen = rng.permutation(len(STUFF_NAMES))[: rng.integers(3, len(STUFF_NAMES) + 1)].tolist()
    ground.paint_grounds([stuff_ground(stuff) for stuff in chosen])
    seen = [(segment.class_index, ground.paints[n]) for n, segment in enumerate(ground.segments)]
    heading = rng.uniform(0, 2 * np.pi)
    view = Swing(
        np.array(margin, dtype=float),
        np.array(margin) * np.array([np.sin(heading), np.cos(heading)]),
        period=_period(max(margin), min(size), frames, rng),
        time=rng.uniform(0, frames),
    )
    things = [_drifting(rng, size, frames) for _ in range(rng.integers(2, 5))]
    for _ in range(rng.integers(1, 3)):
        things += _crossing(rng, size, frames)
    for _ in range(rng.integers(1, 3)):
        things.append(_returning(rng, size, frames))
    order = rng.permutation(len(things))  # who is in front of whom, for the whole video
    return Script(ground.ids - 1, ground.brightness, seen, view, [things[n] for n in order])


def _still(rng: np.random.Generator, size: tuple[int, int], radius: float | None = None) -> Thing:
    """A random thing that keeps its shape in every frame; of a radius, where its kind may be so small."""
    thing = random_thing(rng, size)
    if radius is not None:
        thing = replace(thing, radius=max(radius, thing.kind.min_diameter / 2))
    polygon = thing.kind.shape(rng)
    return replace(thing, kind=replace(thing.kind, shape=lambda _: polygon))


def _period(reach: float, side: int, frames: int, rng: np.random.Generator) -> float:
    """Frames for a swing of this reach: at most ``SPEED``, and no faster than needed to be seen in the video."""
    fastest = 2 * np.pi * reach / (SPEED * side)
    return float(max(fastest, min(frames, 4 * fastest)) * rng.uniform(1, 2))


def _drifting(rng: np.random.Generator, size: tuple[int, int], frames: int) -> tuple[Thing, Swing]:
    thing = _still(rng, size)
    reach = rng.uniform(0.05, 0.3) * min(size)
    heading = rng.uniform(0, 2 * np.pi)
    way = Swing(
        np.array(size) * rng.uniform(0.15, 0.85, 2),
        reach * np.array([np.sin(heading), np.cos(heading)]),
        _period(reach, min(size), frames, rng),
        rng.uniform(0, frames),
        rng.normal(0, 0.03),
    )
    return thing, way


def _crossing(rng: np.random.Generator, size: tuple[int, int], frames: int) -> list[tuple[Thing, Swing]]:
    """Two things of a size that are at the same place in the middle of the video; mostly of one class and colour."""
    radius = rng.uniform(0.06, 0.12) * min(size)
    first = _still(rng, size, radius)
    second = replace(first, angle=rng.uniform(0, 2 * np.pi)) if rng.random() < 0.7 else _still(rng, size, radius)
    place = np.array(size) * rng.uniform(0.3, 0.7, 2)
    reach = rng.uniform(0.25, 0.4) * min(size)
    heading = rng.uniform(0, 2 * np.pi)
    direction = reach * np.array([np.sin(heading), np.cos(heading)])
    period = _period(reach, min(size), frames, rng)
    middle = (frames - 1) / 2
    return [(first, Swing(place, direction, period, middle)), (second, Swing(place, -direction, period, middle))]


def _returning(rng: np.random.Generator, size: tuple[int, int], frames: int) -> tuple[Thing, Swing]:
    """A small thing that swings over a border once a video: inside at its ends, outside in its middle third."""
    thing = _still(rng, size, 0.05 * min(size))
    axis, far = int(rng.integers(2)), bool(rng.integers(2))
    place = np.array(size) * rng.uniform(0.2, 0.8, 2)
    outward = 1.0 if far else -1.0
    place[axis] = size[axis] * far + outward * 0.2 * thing.radius
    reach = np.zeros(2)
    reach[axis] = 2.4 * thing.radius * outward
    period = float(min(max(frames, 8), LONGEST_ABSENCE))
    return thing, Swing(place, reach, period, (frames - 1) / 2 - period / 4)
