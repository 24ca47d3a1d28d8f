"""Scores files: pairs predictions with ground truth, compares them in worker processes, adds up in one order."""

import os
import warnings

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.workers import map_in_workers
from pantile.metrics.pair_counts import CrowdRule, check_rule
from pantile.score.evidence import Evidence, evidence_of
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
    ) -> None:
        check_rule(crowd)
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

    def compare(self, index: int) -> Evidence:
        """
        Raises:
            UserError: a file is missing or damaged, or its pixels and its table contradict each other.
        """
        truth = self._gt.load(index)
        position = self._pairs[index]
        if position is None:
            return evidence_of(PanopticMap(np.zeros_like(truth.ids), ()), truth, self.taxonomy, self.crowd)
        prediction = self._pred.load(position)
        try:
            return evidence_of(prediction, truth, self.taxonomy, self.crowd)
        except UserError as error:
            raise UserError(f"{self._pred.path(position)} against {self._gt.path(index)}: {error}") from None


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
    _tell(job)
    totals = Totals(job.taxonomy)
    comparisons = map_in_workers(job.compare, len(job), workers, _CHUNK)
    if progress:
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        comparisons = track(comparisons, "scoring", total=len(job), console=console, transient=True)
    for name, evidence in zip(job.names, comparisons, strict=True):
        totals.add(name, evidence)
    if totals.rules_differ:
        warnings.warn(_about_crowd(totals.rules_differ, job.crowd), stacklevel=2)
    return totals.score(missing=len(job.missing), unknown=len(job.unknown), per_class=job.per_class)


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell(job: Job) -> None:
    if not len(job):
        warnings.warn("The ground truth has no image: there is nothing to score.", stacklevel=3)
    if job.pairing.note:
        warnings.warn(job.pairing.note, stacklevel=3)
    if job.missing:
        warnings.warn(
            f"{len(job.missing)} of {len(job)} images have no prediction (the first is {job.missing[0]}): "
            "all their segments count as missed.",
            stacklevel=3,
        )
    if job.unknown:
        warnings.warn(
            f"{len(job.unknown)} predictions belong to no image of the ground truth (the first is {job.unknown[0]}): "
            "they are left out.",
            stacklevel=3,
        )


def _about_crowd(images: int, rule: CrowdRule) -> str:
    said = {
        "all": "all of them excuse a prediction here, only the last row does in panopticapi (--crowd reference)",
        "reference": "only the last row excuses a prediction, as in panopticapi (--crowd all counts all of them)",
    }
    return f"In {images} images the rule for several crowd regions of one class changes the counts: {said[rule]}."
