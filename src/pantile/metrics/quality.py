"""PQ, SQ and RQ from counted segments: equation 1 of Kirillov et al., "Panoptic Segmentation" (CVPR 2019)."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.exact_sums import iou_of_units, iou_units
from pantile.metrics.pair_counts import CrowdRule, PairCounts, count_pair
from pantile.metrics.without_nan import without_nan


@dataclass
class Quality:
    """Means over classes, fractions of 1; NaN where n is 0.

    Attributes:
        pq: panoptic quality.
        sq: segmentation quality, the mean IoU of matches.
        rq: recognition quality, an F1 score.
        n: classes that occur in the ground truth or the predictions, and so in the means.
    """

    pq: float
    sq: float
    rq: float
    n: int


@dataclass
class ClassQuality:
    """One class: fractions of 1, NaN where it never occurs, and counted segments."""

    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int

    @property
    def occurs(self) -> bool:
        return self.tp + self.fp + self.fn > 0


@dataclass
class PanopticQualityResult:
    """PQ of a dataset. ``all``, ``things`` and ``stuff`` are means over classes; ``per_class`` goes by class name."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: dict[str, ClassQuality]

    def to_dict(self) -> dict:
        """``{"panoptic": {"all", "things", "stuff", "per_class"}}`` in plain containers; NaN becomes None."""
        return {"panoptic": without_nan(asdict(self))}

    def to_json(self) -> str:
        """``to_dict`` as JSON; NaN becomes null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def class_quality(iou: float, tp: int, fp: int, fn: int) -> ClassQuality:
    """Equation 1 for one class, from its summed IoU and counted segments."""
    if tp + fp + fn == 0:
        return ClassQuality(math.nan, math.nan, math.nan, 0, 0, 0)
    denominator = tp + 0.5 * fp + 0.5 * fn
    return ClassQuality(iou / denominator, iou / tp if tp else 0.0, tp / denominator, tp, fp, fn)


def mean_quality(classes: Iterable[ClassQuality]) -> Quality:
    """The mean over the classes that occur; NaN with n = 0 if none does."""
    present = [c for c in classes if c.occurs]
    if not present:
        return Quality(math.nan, math.nan, math.nan, 0)
    n = len(present)
    return Quality(sum(c.pq for c in present) / n, sum(c.sq for c in present) / n, sum(c.rq for c in present) / n, n)


def summarise(
    taxonomy: Taxonomy, iou: Sequence[float], tp: Sequence[int], fp: Sequence[int], fn: Sequence[int]
) -> PanopticQualityResult:
    """From the sums of each class, in the taxonomy's order; NaN with n = 0 where nothing was seen."""
    per_class = [class_quality(*counts) for counts in zip(iou, tp, fp, fn, strict=True)]
    return PanopticQualityResult(
        all=mean_quality(per_class),
        things=mean_quality(per_class[k] for k in taxonomy.thing_indices),
        stuff=mean_quality(per_class[k] for k in taxonomy.stuff_indices),
        per_class=dict(zip(taxonomy.names, per_class, strict=True)),
    )


def image_quality(pred: PanopticMap, gt: PanopticMap, crowd: CrowdRule = "all") -> float:
    """PQ of a single image, 0..1: the mean over the classes that occur in it, NaN if none does.

    It ranks images (best, worst); its mean over images is not the PQ of the dataset.
    """
    return quality_of(count_pair(pred, gt, crowd))


def quality_of(counts: PairCounts) -> float:
    """``image_quality`` of counted segments."""
    per_class: dict[int, list[int]] = {}
    for match in counts.matches:
        entry = per_class.setdefault(match.gt.class_index, [0, 0, 0, 0])
        entry[0] += iou_units(match.iou)
        entry[1] += 1
    for column, segments in ((2, counts.spurious), (3, counts.missed)):
        for segment in segments:
            per_class.setdefault(segment.class_index, [0, 0, 0, 0])[column] += 1
    rows = (per_class[k] for k in sorted(per_class))
    return mean_quality(class_quality(iou_of_units(units), *counts) for units, *counts in rows).pq
