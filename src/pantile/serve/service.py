"""What the server does with images and numbers, whatever brings them."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pantile
from pantile.contracts.errors import UserError
from pantile.data.image_files import read_orientation
from pantile.merge.registry import MergeConfig
from pantile.predict.inferred import Inferred
from pantile.predict.protocol import ImagePredictor
from pantile.predict.result import PanopticResult
from pantile.serve.answers import Answer, answer_called
from pantile.serve.batching import Batching
from pantile.serve.kept import Kept
from pantile.serve.limits import Limits, Refused
from pantile.serve.metrics import Metrics
from pantile.serve.room import Room
from pantile.serve.thresholds import changed, thresholds

IMAGES_HELD = 2  # of the largest that is taken, or many smaller ones


class Service:
    """
    Args:
        predictor: of whole images.
        limits: of requests.
    """

    def __init__(self, predictor: ImagePredictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.metrics = Metrics()
        self._network = Batching(predictor, limits.batch)
        self._pixels = Room(IMAGES_HELD * limits.pixels, "pixels")
        self._kept = Kept(limits.kept)
        self._merging = threading.BoundedSemaphore(os.cpu_count() or 1)

    def predict(self, path: Path, name: str, options: Mapping[str, str]) -> Answer:
        """
        Args:
            path: of an image file that somebody sent.
            name: what it is called there.
            options: ``answer`` (``json``, ``png`` or ``overlay``), ``keep=1`` and thresholds.

        Raises:
            Refused: an option that makes no sense, too many pixels, or the server is busy.
            UserError: no image, or not of the bands that the network takes.
        """
        give, keep, config = self._options(options)
        deadline = time.monotonic() + self.limits.wait
        try:
            height, width = read_orientation(path).upright
            if height * width > self.limits.pixels:
                raise Refused(
                    413,
                    f"{name} has {width} x {height} pixels, more than the {self.limits.pixels / 1e6:g} million that "
                    "are taken: send a smaller one.",
                )
            with self._pixels.holding(height * width, deadline):
                inferred = self._network.run(self.predictor.open(path), deadline)
                result = self._merged(inferred, config)
                return give(result, name, self._kept.keep(name, inferred) if keep else None)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from None

    def merge_again(self, key: str, options: Mapping[str, str]) -> Answer:
        """The answer of ``predict`` for an image that is kept, with other thresholds.

        Raises:
            Refused: it is kept no longer, or an option that makes no sense.
        """
        give, _, config = self._options(options)
        name, inferred = self._kept.find(key)
        return give(self._merged(inferred, config), name, key)

    def describe(self) -> dict:
        """What a page has to know of the network."""
        return {
            "model": repr(self.predictor).partition("(")[2].removesuffix(")"),
            "version": pantile.__version__,
            "classes": self.predictor.taxonomy.to_coco(),
            "per_class": self.predictor.per_class,
            "thresholds": [vars(threshold) for threshold in thresholds(self.predictor.merge_config)],
            "limits": {"bytes": self.limits.upload, "pixels": self.limits.pixels},
        }

    def numbers(self) -> str:
        """The metrics, as text."""
        network = self._network
        return self.metrics.text(
            waiting_images=network.waiting, network_runs=network.batches, network_images=network.images
        )

    def end(self) -> None:
        """After the last request."""
        self._network.end()

    def _options(self, options: Mapping[str, str]) -> tuple:
        rest = dict(options)
        give, keep = answer_called(rest.pop("answer", "json")), rest.pop("keep", "") == "1"
        return give, keep, changed(self.predictor.merge_config, rest)

    def _merged(self, inferred: Inferred, config: MergeConfig | None) -> PanopticResult:
        with self._merging:
            return self.predictor.merge(inferred, config)
