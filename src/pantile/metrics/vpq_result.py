"""VPQ of a data set: PQ of tubes for each length of windows, and their mean."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.exact_sums import iou_of_parts
from pantile.metrics.quality import PanopticQualityResult, Quality, summarise
from pantile.metrics.without_nan import without_nan


@dataclass  # torchmetrics refuses frozen ones
class VideoPanopticQualityResult:
    """Kim et al. 2020, equation 2: the mean over the lengths of windows. Fractions of 1.

    A length for which no video is long enough has NaN, and so has the mean.

    Attributes:
        all, things, stuff: means over the lengths of the mean over classes; ``n`` is that of the shortest windows.
        windows: length in frames -> PQ, SQ and RQ of tubes.
    """

    all: Quality
    things: Quality
    stuff: Quality
    windows: dict[int, PanopticQualityResult]

    def to_dict(self) -> dict:
        """``{"video_panoptic": {"all", "things", "stuff", "windows"}}`` in plain containers; NaN becomes None."""
        return {"video_panoptic": without_nan(asdict(self))}


def vpq_of(taxonomy: Taxonomy, lengths: Sequence[int], sums: np.ndarray) -> VideoPanopticQualityResult:
    """From the sums of a ``TubeTally``."""
    windows = {}
    for length, rows in zip(lengths, sums.tolist(), strict=True):
        tp, fp, fn, high, low = zip(*rows, strict=True)
        windows[length] = summarise(taxonomy, list(map(iou_of_parts, high, low)), tp, fp, fn)
    groups = (_mean([getattr(result, group) for result in windows.values()]) for group in ("all", "things", "stuff"))
    return VideoPanopticQualityResult(*groups, windows=windows)


def _mean(qualities: list[Quality]) -> Quality:
    pq, sq, rq = (sum(getattr(q, key) for q in qualities) / len(qualities) for key in ("pq", "sq", "rq"))
    return Quality(pq, sq, rq, max(q.n for q in qualities))
