"""What the network said of the last images, so that thresholds are changed without running it again."""

import secrets
import threading
from collections import OrderedDict

from pantile.predict.inferred import Inferred
from pantile.serve.limits import Refused


class Kept:
    """
    Args:
        size: bytes; the image that was not asked for the longest goes first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._of: OrderedDict[str, tuple[str, Inferred]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, inferred: Inferred) -> str:
        """A key that nobody guesses, for ``find``; ``name`` is the image's."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._of[key] = name, inferred
            while sum(one.nbytes for _, one in self._of.values()) > self.size:
                self._of.popitem(last=False)
        return key

    def find(self, key: str) -> tuple[str, Inferred]:
        """
        Raises:
            Refused: it is kept no longer, or never was.
        """
        with self._lock:
            if key not in self._of:
                raise Refused(404, "This image is kept no longer: send it again.")
            self._of.move_to_end(key)
            return self._of[key]
