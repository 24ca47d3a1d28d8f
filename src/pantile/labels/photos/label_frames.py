"""In which frame of a turned photo the labels of a tool lie: on the upright picture, or on the pixels as stored.

Most tools show photos upright, so that points count from there. Some write the stored width and height beside such
points all the same (Label Studio asks the file, its canvas is the browser's). So what a file states is held against
where its shapes lie, and one image that tells speaks for the others of its source.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pantile.data.decoding import decoding
from pantile.data.image_files import read_orientation
from pantile.data.labelled_photos import LabelledPhotos
from pantile.data.orientation import FRAMES, STORED, UPRIGHT, Orientation, choose_frame, mismatch

Size = tuple[int, int]
BEYOND = 1.0  # pixels by which a point may miss the picture: tools round, and clip a little outside

SAME_SIZE = "their size fits both ways"
NO_SIZE = "they state no size, and their shapes fit both ways"
ONLY_STATED = "they state the stored size, as some tools do for upright labels, and their shapes fit both ways"


@dataclass(frozen=True)
class Evidence:
    """Where the labels of an image lie.

    Attributes:
        sizes: (height, width) of whole masks.
        points: (x, y) of corners, in pixels.
    """

    sizes: tuple[Size, ...] = ()
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Framed:
    """A photo and how its labels lie on it.

    Attributes:
        found: the photo's orientation.
        frame: ``"upright"`` or ``"stored"``; of a photo that is not turned, either.
        doubt: why the labels do not tell; None where they do, or a person has said.
    """

    found: Orientation
    frame: str
    doubt: str | None = None

    @property
    def size(self) -> Size:
        """(height, width) of the labels."""
        return self.found.size(self.frame)


def frame_of_map(path: Path, size: Size, said: str | None, label: str) -> Framed:
    """Of a photo whose labels are a map of this size.

    Args:
        path: of the photo.
        size: (height, width) of the map.
        said: ``--orientation``, for where sizes cannot tell.
        label: the map in messages.

    Raises:
        UserError: the map fits neither frame, or the photo is missing or no image.
    """
    found = _orientation(path)
    choice = choose_frame(found, size, said)
    if choice is None:
        raise mismatch(path, found, size, f"{label} is")
    return Framed(found, choice.frame, None if choice.is_sure else SAME_SIZE)


def framed_photo(dataset: LabelledPhotos, index: int, size: Size) -> Framed:
    """Of a photo of a data set, which warns where its labels do not tell.

    Args:
        size: (height, width) of the photo's label map.

    Raises:
        UserError: as ``frame_of_map``.
    """
    path = dataset.image_path(index)
    found = _orientation(path)
    choice = dataset.choose(found, size)
    if choice is None:
        raise mismatch(path, found, size, "its label is")
    return Framed(found, choice.frame, None if choice.is_sure else SAME_SIZE)


class LabelFrames:
    """Frames of the labels of a split that come as coordinates.

    Args:
        paths: of the photos.
        stated: index to the (height, width) that the labels state, or None.
        evidence: index to where they lie; asked for turned photos only.
        said: ``--orientation``, which decides for all turned photos.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        stated: Callable[[int], Size | None],
        evidence: Callable[[int], Evidence],
        said: str | None,
    ) -> None:
        self._paths, self._stated, self._evidence, self._said = paths, stated, evidence, said

    def find(self, index: int, where: str) -> Framed:
        """
        Args:
            index: of the photo.
            where: its labels, for messages.

        Raises:
            UserError: the size that is stated fits neither frame, or the photo is missing or no image.
        """
        found = _orientation(self._paths[index])
        size = self._stated(index)
        if size is not None and not found.fitting(size):
            raise mismatch(self._paths[index], found, size, f"{where} is for")
        if not found.is_turned:
            return Framed(found, STORED)
        if self._said:
            return Framed(found, self._said)
        shown = _shown(found, self._evidence(index))
        return Framed(found, shown) if shown else self._by_statement(found, size)

    def _by_statement(self, found: Orientation, size: Size | None) -> Framed:
        """The shapes of this image fit both ways: what its size says, and what other images show of the tool."""
        stated = FRAMES if size is None else found.fitting(size)
        if stated == (UPRIGHT,):
            return Framed(found, UPRIGHT)
        others = self._shown_by_others
        if stated == (STORED,):
            return Framed(found, others or STORED, None if others else ONLY_STATED)
        doubt = NO_SIZE if size is None else SAME_SIZE
        return Framed(found, others or UPRIGHT, None if others else doubt)

    @cached_property
    def _shown_by_others(self) -> str | None:
        """The one frame that turned photos show for certain; None where none does, or they contradict each other."""
        frames = set()
        for index, path in enumerate(self._paths):
            found = _orientation(path)
            if found.is_turned:
                size, shown = self._stated(index), _shown(found, self._evidence(index))
                if shown is None and size is not None and found.fitting(size) == (UPRIGHT,):
                    shown = UPRIGHT  # nobody states this size who has not seen it
                frames.add(shown)
        frames.discard(None)
        return frames.pop() if len(frames) == 1 else None


def _shown(found: Orientation, evidence: Evidence) -> str | None:
    """The only frame in which the shapes can lie, whatever is stated; None where both will do, or neither."""
    frames = {frame for frame in FRAMES if _hold(found.size(frame), evidence.points)}
    for size in evidence.sizes:
        frames &= set(found.fitting(size))
    return frames.pop() if len(frames) == 1 else None


def _hold(size: Size, points: Iterable[tuple[float, float]]) -> bool:
    height, width = size
    return all(-BEYOND <= x <= width + BEYOND and -BEYOND <= y <= height + BEYOND for x, y in points)


def _orientation(path: Path) -> Orientation:
    with decoding(path):
        return read_orientation(path)
