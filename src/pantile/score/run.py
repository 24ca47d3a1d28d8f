"""Scores files: pairs predictions with ground truth, compares them in worker processes, adds up in one order."""

import os
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.workers import map_in_workers
from pantile.metrics.pair_counts import CrowdRule, check_rule
from pantile.score.evidence import PARTS, Evidence, Part, evidence_of
from pantile.score.pairing import PairBy, pair_images
from pantile.score.result import Score, Totals
from pantile.score.sources import MapSource

_CHUNK = 16  # images a worker takes at a time


class Job:
    """The pairs to compare. It travels to the workers once, so it holds paths and tables but no pixels.

    Args:
        gt: ground truth.
        pred: predictions of its classes.
        limit: only the first images of the ground truth.
        pair_by: see ``pair_images``.
        crowd: see ``CrowdRule``.
        parts: what is counted beside PQ, see ``Part``.

    Attributes:
        names: of the images, in the order of the ground truth.
        missing: names of the images without prediction.
        unknown: names of predictions without image (of all the ground truth, whatever the limit).
        pairing: how images and predictions came together.
        per_class: see ``MapSource``.

    Raises:
        UserError: see ``pair_images``; another rule about crowd.
    """

    def __init__(
        self,
        gt: MapSource,
        pred: MapSource,
        limit: int | None = None,
        pair_by: PairBy = "auto",
        crowd: CrowdRule = "all",
        parts: Collection[Part] = PARTS,
    ) -> None:
        check_rule(crowd)
        self.parts = tuple(parts)
        self._gt, self._pred = gt, pred
        self.crowd: CrowdRule = crowd
        self.taxonomy = gt.taxonomy
        self.per_class = pred.per_class
        self.pairing = pair_images(gt, pred, pair_by)
        known = set(self.pairing.pairs.values())
        self.unknown = [name for position, name in enumerate(pred.names) if position not in known]
        self.names = list(gt.names[:limit])
        self._pairs = [self.pairing.pairs.get(position) for position in range(len(self.names))]
        self.missing = [name for name, pair in zip(self.names, self._pairs, strict=True) if pair is None]

    def __len__(self) -> int:
        return len(self._pairs)

    def truth(self, index: int) -> PanopticMap:
        """The ground truth of an image.

        Raises:
            UserError: its file is missing or damaged.
        """
        return self._gt.load(index)

    def compare(self, index: int, truth: PanopticMap) -> Evidence:
        """
        Args:
            truth: of this image.

        Raises:
            UserError: a file is missing or damaged, or its pixels and its table contradict each other.
        """
        position = self._pairs[index]
        if position is None:
            nothing = PanopticMap(np.zeros_like(truth.ids), ())
            return evidence_of(nothing, truth, self.taxonomy, self.crowd, self.parts)
        prediction = self._pred.load(position)
        try:
            return evidence_of(prediction, truth, self.taxonomy, self.crowd, self.parts)
        except UserError as error:
            raise UserError(f"{self._pred.path(position)} against {self._gt.path(index)}: {error}") from None

    def prediction(self, index: int) -> PanopticMap | None:
        """The prediction of an image; None where it has none."""
        position = self._pairs[index]
        return None if position is None else self._pred.load(position)

    def score_of(self, totals: Totals) -> Score:
        """What the totals of all images say."""
        return totals.score(missing=len(self.missing), unknown=len(self.unknown), per_class=self.per_class)


def score(job: Job, workers: int = 1, progress: bool = False) -> Score:
    """Compares all pairs.

    Args:
        job: the pairs.
        workers: processes; the result does not depend on it, to the last bit.
        progress: show a bar on stderr.

    Raises:
        UserError: about the first image, in the order of the ground truth, that cannot be compared.

    Warns:
        UserWarning: images lack a prediction, or predictions an image; file names contradict or do not confirm ids;
            the rule about crowd decides.
    """
    return job.score_of(add_up([job], workers, progress)[0])


def add_up(jobs: Sequence[Job], workers: int = 1, progress: bool = False, keep_images: bool = False) -> list[Totals]:
    """The totals of several predictions of one ground truth, each image of which is read once for all of them.

    Args:
        jobs: with the same ground truth and limit.
        keep_images: see ``Totals``.

    Raises, warns: see ``score``.
    """
    for job in jobs:
        _tell(job)
    totals = [Totals(job.taxonomy, job.parts, keep_images) for job in jobs]
    images = len(jobs[0])
    chunks = [range(first, min(first + _CHUNK, images)) for first in range(0, images, _CHUNK)]
    with _bar(images, shown=progress) as advance:
        of_chunks = map_in_workers(partial(_of_chunk, jobs, chunks, keep_images), len(chunks), workers, chunk=1)
        for chunk, parts in zip(chunks, of_chunks, strict=True):
            for total, part in zip(totals, parts, strict=True):
                total.join(part)
            advance(len(chunk))
    for job, total in zip(jobs, totals, strict=True):
        if total.rules_differ:
            warnings.warn(_about_crowd(total.rules_differ, job.crowd), stacklevel=3)
    return totals


def _of_chunk(jobs: Sequence[Job], chunks: Sequence[range], keep_images: bool, number: int) -> list[Totals]:
    totals = [Totals(job.taxonomy, job.parts, keep_images) for job in jobs]
    for index in chunks[number]:
        truth = jobs[0].truth(index)
        for job, total in zip(jobs, totals, strict=True):
            total.add(job.names[index], job.compare(index, truth))
    return totals


@contextmanager
def _bar(images: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where it is shown; gives what moves it on."""
    if not shown:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring", total=images)
        yield lambda steps: bar.advance(task, steps)


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell(job: Job) -> None:
    if not len(job):
        warnings.warn("The ground truth has no image: there is nothing to score.", stacklevel=4)
    if job.pairing.note:
        warnings.warn(job.pairing.note, stacklevel=4)
    if job.missing:
        warnings.warn(
            f"{len(job.missing)} of {len(job)} images have no prediction (the first is {job.missing[0]}): "
            "all their segments count as missed.",
            stacklevel=4,
        )
    if job.unknown:
        warnings.warn(
            f"{len(job.unknown)} predictions belong to no image of the ground truth (the first is {job.unknown[0]}): "
            "they are left out.",
            stacklevel=4,
        )


def _about_crowd(images: int, rule: CrowdRule) -> str:
    said = {
        "all": "all of them excuse a prediction here, only the last row does in panopticapi (--crowd reference)",
        "reference": "only the last row excuses a prediction, as in panopticapi (--crowd all counts all of them)",
    }
    return f"In {images} images the rule for several crowd regions of one class changes the counts: {said[rule]}."
