"""An image from the body of a request to a file, as the limits allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pantile.contracts.clean_text import is_clean
from pantile.serve.limits import Limits, Refused

HOW = "send the image file itself as the body, as `curl --data-binary @photo.jpg` does"
_PART = 2**16  # bytes read at a time


def announced_length(headers: Message, limits: Limits) -> int:
    """Bytes of the body, before any of it is read.

    Raises:
        Refused: they are not told, too many, or none.
    """
    if headers.get_content_type() == "multipart/form-data":
        raise Refused(415, f"This is a form: {HOW}.")
    text = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not (text.isascii() and text.isdecimal()):
        raise Refused(411, "The request does not tell the length of its body: send Content-Length, in bytes.")
    length = int(text)
    if length > limits.upload:
        raise Refused(
            413,
            f"The file has {length / 2**20:.1f} MiB, more than the {limits.upload / 2**20:g} MiB that are taken: send "
            "a smaller one.",
        )
    if length == 0:
        raise Refused(400, f"The request has no body: {HOW}.")
    return length


def image_name(wanted: str) -> str:
    """How an image is called in the answer.

    Raises:
        Refused: it is no plain name of a file.
    """
    if not wanted.strip(".") or set(wanted) & set("/\\") or len(wanted) > 200 or not is_clean(wanted):
        raise Refused(400, f"name={wanted[:80]!r}: give the name of a file without folders.")
    return wanted


@contextmanager
def received(body: BinaryIO, length: int) -> Iterator[Path]:
    """A file with the body of a request; it is gone after the block.

    Raises:
        Refused: the body ends before ``length``.
        TimeoutError: it is not here in time.
    """
    with TemporaryDirectory(prefix="pantile-serve-") as folder:
        path = Path(folder) / "image"
        with path.open("wb") as file:
            while length and (part := body.read(min(length, _PART))):
                file.write(part)
                length -= len(part)
        if length:
            raise Refused(400, f"The body ends {length} bytes early: send the whole file.")
        yield path
