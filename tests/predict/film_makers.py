"""Films of coloured squares that move, in a file or a folder, and a network that sees their colours."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.predictions import Prediction

COLORS = {0: (230, 20, 20), 1: (20, 230, 20)}  # of two things of one class
SIZE = (64, 96)


def squares(number: int, size=SIZE) -> np.ndarray:
    """Frame ``number``: one square goes right, the other left, one above the other."""
    image = np.full((*size, 3), 20, dtype=np.uint8)
    left = 4 + 2 * (number % 30)
    image[8:24, left : left + 16] = COLORS[0]
    image[40:56, size[1] - 16 - left : size[1] - left] = COLORS[1]
    return image


def write_film(path: Path, count: int, times=None, size_of=lambda number: SIZE, codec="mpeg4", **options) -> Path:
    import av

    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size_of(0)
        stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        stream.gop_size = 5
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(squares(number, size_of(number)), format="rgb24")
            frame.pts = round(1000 * (times[number] if times else number / 25))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_frames(folder: Path, count: int, size_of=lambda number: SIZE) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(squares(number, size_of(number))).save(folder / f"{number:05}.png")
    return folder


def see_colors(network, image, views, tiling=None):
    """In place of ``predict_frame``: each square is a segment, with ids that change from frame to frame."""
    ids = np.zeros(image.shape[:2], dtype=np.int32)
    order = [0, 1] if image[8:24, :40].max() > 200 else [1, 0]
    segments = []
    for position, which in enumerate(order):
        other = 1 - which
        ids[(image[..., which] > 120) & (image[..., other] < 120)] = position + 1
        segments.append(Segment(position + 1, 0, score=0.5))
    embed = np.eye(2, dtype=np.float32)[order]
    return Prediction(PanopticMap(ids, tuple(segments)), queries=np.arange(2)), embed
