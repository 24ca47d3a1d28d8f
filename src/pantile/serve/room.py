"""Room: how much of something all requests may hold together."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pantile.serve.limits import Refused


class Room:
    """
    Args:
        size: of the room, in whatever is held in it.
        unit: its name, for messages.
    """

    def __init__(self, size: int, unit: str) -> None:
        self.size, self.unit = size, unit
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, amount: int, deadline: float) -> Iterator[None]:
        """Waits until there is room for ``amount``, which is at most ``size``, and holds it while the block runs.

        Args:
            deadline: by ``time.monotonic``.

        Raises:
            Refused: there is none by then.
        """
        with self._changed:
            while self._held + amount > self.size:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise Refused(503, f"The server holds as many {self.unit} as it may: try again in a moment.")
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()
