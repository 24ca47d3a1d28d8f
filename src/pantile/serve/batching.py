"""Batching: one thread that runs the network, on images that wait together if they fit each other."""

import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

import numpy as np

from pantile.predict.inferred import Inferred
from pantile.predict.protocol import ImagePredictor
from pantile.serve.limits import Refused


@dataclass(frozen=True, eq=False)
class _Job:
    pixels: np.ndarray
    size: tuple[int, int]  # of the network's input
    future: Future = field(default_factory=Future)


class Batching:
    """Images go through the network in the order in which they come, and none waits for another to come.

    Args:
        predictor: whose network runs.
        most: images of one input size that go through together.
    """

    def __init__(self, predictor: ImagePredictor, most: int) -> None:
        self.predictor, self.most = predictor, most
        self.batches = self.images = 0
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    def run(self, pixels: np.ndarray, deadline: float) -> Inferred:
        """
        Args:
            pixels: (H, W, C) uint8.
            deadline: by ``time.monotonic``.

        Raises:
            Refused: the network did not come to it by then.
            Exception: what the network raised of this image.
        """
        job = _Job(pixels, self.predictor.placement(pixels).padded)
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        try:
            return job.future.result(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, CancelledError):
            if not job.future.cancel():  # it runs, or has just ended
                return job.future.result()
            raise Refused(503, "The server has more images to predict than it can: try again in a moment.") from None

    def end(self) -> None:
        """Finishes what waits, and no more."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._next():
            self._infer(jobs)

    def _next(self) -> list[_Job]:
        """The first that waits, and those behind it of the same size."""
        with self._changed:
            while not self._jobs:
                if self._ended:
                    return []
                self._changed.wait()
            first = self._jobs[0]
            chosen = [job for job in self._jobs if job.size == first.size][: self.most]
            for job in chosen:
                self._jobs.remove(job)
            return chosen

    def _infer(self, jobs: list[_Job]) -> None:
        running = [job for job in jobs if job.future.running() or job.future.set_running_or_notify_cancel()]
        if not running:
            return
        try:
            inferred = self.predictor.infer([job.pixels for job in running])
        except Exception as error:  # whoever asked is told
            if len(running) == 1:
                running[0].future.set_exception(error)
                return
            for job in running:  # alone, the others succeed
                self._infer([job])
            return
        self.batches += 1
        self.images += len(running)
        for job, one in zip(running, inferred, strict=True):
            job.future.set_result(one)
