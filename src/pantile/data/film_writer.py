"""Writing a film, frame by frame, each at its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pantile.data.films import pyav

TICKS = 90000  # per second, those of MPEG: times of frames are kept to this
CODECS = ("libx264", "mpeg4")  # the first that the installed FFmpeg can write


class FilmWriter:
    """Sides that are odd lose a row or a column, since the codecs store colours at half the resolution."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self._stream: Any = None
        self._last = -1

    def add(self, image: np.ndarray, time: float) -> None:
        """
        Args:
            image: (H, W, 3) uint8, of one size in a film.
            time: seconds since the start; at least a tick after the one before.
        """
        av = pyav()
        even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
        if self._stream is None:
            codec = next(name for name in CODECS if name in av.codecs_available)
            self._stream = self._container.add_stream(codec, rate=25)
            self._stream.height, self._stream.width = even.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, TICKS)
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        self._last = max(round(time * TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the codec still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())


@contextmanager
def writing_film(path: Path) -> Iterator[FilmWriter]:
    """A writer of an ``.mp4``, which is complete when the block ends.

    Raises:
        UserError: PyAV is not installed.
    """
    with pyav().open(str(path), "w", format="mp4") as container:
        writer = FilmWriter(container)
        yield writer
        writer.finish()
