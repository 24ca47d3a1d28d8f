"""Pillow's errors on files that are missing, cut short, garbled or forged, as one sentence."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from pantile.contracts.errors import UserError

#: what Pillow raises on files that are cut short, garbled or forged
DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    zlib.error,
)


@contextmanager
def decoding(path: Path | str) -> Iterator[None]:
    """
    Raises:
        UserError: instead of Pillow's errors.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: restore the file.") from None
    except MemoryError:
        raise UserError(f"{path} does not fit into memory: free some, or cut the image.") from None
    except (*DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise UserError(f"{path} does not decode ({' '.join(str(error).split())}): replace the file.") from None
