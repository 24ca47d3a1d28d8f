"""Films: frames one by one, with their times, from a file (by PyAV, the extra ``video``) or from a folder of images.

Nothing is held but the frame at hand, so a film may be of any length. Frames of a file come as they are shown: turned
as a phone says, and at their own times, which need not be evenly spaced.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.data.image_files import read_image
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.data.orientation import UPRIGHT

FILM_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
FOLDER_RATE = 10.0  # frames per second of a folder, whose images have no times


class FilmFrame(NamedTuple):
    """
    Attributes:
        image: (H, W, 3) uint8 RGB.
        time: seconds since the start of the film.
        stem: what files written about it are called.
    """

    image: np.ndarray
    time: float
    stem: str


class BrokenFilm(UserError):
    """A film ends before its end; the frames before are whole."""


class Film(Protocol):
    """
    Attributes:
        path: the file or folder.
        name: of the film in predictions.
        count: how many frames it says to have; None where it does not say.
    """

    path: Path
    name: str
    count: int | None

    def frames(self) -> Iterator[FilmFrame]:
        """
        Raises:
            UserError: a frame of another size, or one that cannot be read.
            BrokenFilm: after the last whole frame, where others should follow.
        """
        ...


def is_film(path: Path) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES and not path.is_dir()


@dataclass(frozen=True)
class FrameFolder:
    """A folder of images as a film, in the order of their names."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def count(self) -> int:
        return len(self.files())

    def files(self) -> list[Path]:
        """The images; hidden files are none."""
        found = (p for p in self.path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
        return sorted(found)

    def frames(self) -> Iterator[FilmFrame]:
        size = None
        for number, file in enumerate(self.files()):
            image = read_image(file, frame=UPRIGHT)
            size = size or image.shape
            if image.shape != size:
                raise _other_size(f"{file}", image.shape, size)
            yield FilmFrame(image, number / FOLDER_RATE, file.stem)


class FilmFile:
    """A film file.

    Raises:
        UserError: PyAV is not installed, or the file cannot be opened or holds no pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        av = pyav()
        regular_file(path)
        with self._open(av) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            if container.duration and rate:
                self._seconds = container.duration / av.time_base
                guess = round(self._seconds * float(rate))
            else:
                self._seconds = guess = None
            self._listed = stream.frames or None  # what the file's index says, where it has one
            self.count = self._listed or guess

    def frames(self) -> Iterator[FilmFrame]:
        av = pyav()
        size, number, start, times = None, 0, 0.0, [0.0, 0.0]
        with self._open(av) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            decoded = container.decode(stream)
            while True:
                try:
                    frame = next(decoded, None)
                except av.error.FFmpegError as error:
                    raise self._broken(number, times[1], f"does not decode further ({error.strerror})") from None
                if frame is None:
                    break
                image = frame.to_ndarray(format="rgb24")
                if turns := round(frame.rotation / 90) % 4:
                    image = np.ascontiguousarray(np.rot90(image, turns))
                size = size or image.shape
                if image.shape != size:
                    raise _other_size(f"{self.path}, frame {number}", image.shape, size)
                time = frame.time if frame.time is not None else 2 * times[1] - times[0]
                start = time if number == 0 else start
                times = [times[1], time - start]
                yield FilmFrame(image, times[1], f"{number:08}")
                number += 1
        self._check_end(number, times)

    def _check_end(self, number: int, times: list[float]) -> None:
        """Some decoders take a cut file for one that ends there; its index or its length tells."""
        if number == 0:
            raise UserError(f"{self.path} holds no frame that decodes: record or copy the film anew.")
        if self._listed is not None:
            cut = number < self._listed
        else:
            step = times[1] - times[0] if number > 1 else self._seconds or 0.0
            cut = self._seconds is not None and times[1] + 3 * step + 0.2 < self._seconds
        if cut:
            expected = f"{self._listed} frames" if self._listed else f"{self._seconds:.1f} seconds"
            raise self._broken(number, times[1], f"says to have {expected}")

    def _broken(self, number: int, time: float, why: str) -> UserError:
        if number == 0:
            return UserError(f"{self.path} {why} at its first frame: record or copy the film anew.")
        return BrokenFilm(
            f"{self.path} breaks off after {number} frames, at {time:.2f} s: it {why}. What was decoded is kept; "
            "copy the film anew for the rest."
        )

    def _open(self, av):
        try:
            container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            what = getattr(error, "strerror", None) or str(error)
            raise UserError(f"{self.path} cannot be opened as a film ({what}): copy or encode it anew.") from None
        if not container.streams.video:
            container.close()
            raise UserError(f"{self.path} holds no pictures: name a film.")
        return container


def pyav():
    """The module ``av``.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise UserError("Films are read by PyAV, which is not installed: pip install pantile[video].") from None
    return av


def open_films(paths: list[Path]) -> list[Film]:
    """Each file is a film, each folder of images too; of other folders those of the folders in it that hold images.

    Raises:
        UserError: something is missing or no film, or two films have one name.
    """
    films: list[Film] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
            found = [f for f in map(FrameFolder, [path, *below]) if f.files()]
            if not found:
                raise UserError(f"{path} holds neither images nor folders of images: name a film or its frames.")
            films += found
        elif not path.exists():
            raise UserError(f"{path}: no such film or folder.")
        elif is_film(path):
            films.append(FilmFile(path))
        else:
            raise UserError(f"{path} is no film ({', '.join(sorted(FILM_SUFFIXES))}) and no folder of frames.")
    by_name: dict[str, Film] = {}
    for film in films:
        if by_name.setdefault(film.name, film) is not film:
            raise UserError(f"{film.path} and {by_name[film.name].path} would both be called {film.name}: rename one.")
    return films


def _other_size(what: str, found: tuple[int, ...], first: tuple[int, ...]) -> UserError:
    return UserError(
        f"{what} is {found[1]}x{found[0]} pixels and the frames before are {first[1]}x{first[0]}: cut the film where "
        "its size changes."
    )
