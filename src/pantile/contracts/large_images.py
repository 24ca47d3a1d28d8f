"""How many pixels are decoded at once: a limit in memory of our own instead of Pillow's, which aerial images pass."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from pantile.contracts.errors import UserError

#: bytes of a decoded image; a file that claims more is refused before it is decoded, as a forged one would be
MOST_BYTES = 2**32

_lock = threading.Lock()
_inside = 0
_limit_before: int | None = None


@contextmanager
def without_pixel_limit() -> Iterator[None]:
    """Pillow opens images of any number of pixels while the block runs; any number of threads may be in it.

    Pillow counts pixels when a file is opened, and of some formats again when it is decoded. ``check_memory`` belongs
    between the two.
    """
    global _inside, _limit_before
    with _lock:
        if _inside == 0:
            _limit_before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                Image.MAX_IMAGE_PIXELS = _limit_before


def check_memory(name: object, size: tuple[int, int], pixel_bytes: int, way_on: str) -> None:
    """
    Args:
        name: of the image, for the message.
        size: (height, width).
        pixel_bytes: of one decoded pixel.
        way_on: what to do instead, an imperative.

    Raises:
        UserError: the decoded image has more than ``MOST_BYTES``.
    """
    needed = size[0] * size[1] * pixel_bytes
    if needed > MOST_BYTES:
        raise UserError(
            f"{name} has {size[1]} x {size[0]} pixels, {needed / 2**30:.1f} GiB decoded, but at most "
            f"{MOST_BYTES / 2**30:g} GiB are decoded at once: {way_on}."
        )
