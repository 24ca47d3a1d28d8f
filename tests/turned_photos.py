"""Photos that a camera stored turned: the same picture in the eight orientations of EXIF, written by Pillow."""

from pathlib import Path

import numpy as np
from PIL import Image

#: what happens to the stored array until it stands upright; the standard defines a tag by the sides at which the first
#: row and the first column of the file are shown: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top,
#: 6 right top, 7 right bottom, 8 left bottom
SHOWN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def save_turned(stored: np.ndarray, path: Path, tag: int, **options: object) -> Path:
    """A file whose pixels lie as given, with the orientation tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = tag
    exif[0x010F] = "a camera"
    if path.suffix == ".webp":
        options = {"lossless": True, "exact": True} | options
    Image.fromarray(stored).save(path, exif=exif, **({"quality": 95, "subsampling": 0} | options))
    return path


def picture(size: tuple[int, int] = (16, 24)) -> np.ndarray:
    """(H, W, 3) uint8 without any symmetry, smooth enough for JPEG: bright top left corner, red to the right."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    picture = np.stack([250 * columns / size[1], 250 * rows / size[0], 0 * rows + 30], axis=-1).astype(np.uint8)
    picture[: size[0] // 2, : size[1] // 3] = 255
    return picture
