"""What one request may cost, so that it costs the others nothing; and the answer to one that would cost more."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """
    Attributes:
        upload: bytes of an image file.
        pixels: of an image, decoded; twice as many are held at once, by all requests together.
        receive: seconds in which a request has to be here, and in which an answer has to be taken.
        wait: seconds in which an image has to be predicted.
        idle: seconds that a connection stays open between requests.
        connections: at a time.
        kept: bytes of what the network said of images, for merging them again.
        batch: images of one size that go through the network together when they wait together.
    """

    upload: int = 32 * 2**20
    pixels: int = 50_000_000
    receive: float = 30.0
    wait: float = 60.0
    idle: float = 60.0
    connections: int = 128
    kept: int = 2**28
    batch: int = 1


class Refused(Exception):
    """A request that is not answered with what it asks for.

    Args:
        status: of HTTP.
        sentence: what is wrong and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
