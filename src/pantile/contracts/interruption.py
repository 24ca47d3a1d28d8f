"""Ctrl-C, and being told to end (SIGTERM, SIGHUP): as an exception, or as a wish that long work looks at."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

Handler = Callable[[int, FrameType | None], None]
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(SystemExit):
    """A signal ended the work. A program that does not catch it ends with 128 + the signal's number.

    Args:
        number: of the signal.
        told: whether somebody has said so on stderr already.
    """

    def __init__(self, number: int, told: bool = False) -> None:
        super().__init__(128 + number)
        self.number = int(number)
        self.told = told


@contextmanager
def handling(handler: Handler) -> Iterator[None]:
    """``handler`` answers the signals while the block runs; those that the process ignores stay ignored (``nohup``,
    background jobs). Nothing happens outside the main thread, where Python allows no handlers."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: old for number, old in before.items() if old not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """A handler: the first signal raises ``Interrupted``, a Ctrl-C after it ends the process at once."""
    for other in SIGNALS:
        if signal.getsignal(other) is raise_interrupted:
            signal.signal(other, _exit_at_once if other == signal.SIGINT else signal.SIG_IGN)
    raise Interrupted(number)


class Wish:
    """A handler: notes the first signal for those who look at ``number``; a Ctrl-C after it ends the process at once.

    Args:
        words: what to say on stderr when it comes.
        pause: seconds within which a second Ctrl-C counts as the first: launchers such as ``torchrun`` pass on what
            the terminal has sent already.

    Attributes:
        number: of the first signal; None before it comes.
    """

    def __init__(self, words: str, pause: float = 0.0) -> None:
        self.words = words
        self.pause = pause
        self.number: int | None = None
        self._since = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._since = number, now
            _say(f"\n{self.words}\n")
        elif number == signal.SIGINT and now - self._since >= self.pause:
            _exit_at_once(number, frame)


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        _say("\x1b[?25h\n")  # the cursor that a progress bar hides
    os._exit(128 + number)


def _say(words: str) -> None:
    """On stderr, past Python's file object: the handler may have come amid a print. It may also be closed."""
    with suppress(OSError):
        os.write(2, words.encode())
