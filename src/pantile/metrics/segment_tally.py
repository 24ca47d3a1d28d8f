"""What became of each segment of an image, and sums over a data set: PQ as a whole and by segment size."""

from collections.abc import Callable
from typing import NamedTuple

from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import MapPair
from pantile.metrics.pair_counts import PairCounts
from pantile.metrics.quality import PanopticQualityResult, summarise

SIZES = ("small", "medium", "large")
_MEDIUM_FROM, _LARGE_FROM = 32**2, 96**2  # pixels, as COCO divides its objects


class Outcomes(NamedTuple):
    """The segments of one image that count, without their maps; small enough to travel between processes.

    Attributes:
        matched: (class index, IoU, pixels of the ground-truth segment), in the order in which the reference adds them.
        spurious: (class index, pixels of the predicted segment).
        missed: (class index, pixels of the ground-truth segment).
    """

    matched: tuple[tuple[int, float, int], ...]
    spurious: tuple[tuple[int, int], ...]
    missed: tuple[tuple[int, int], ...]


def outcomes_of(pair: MapPair, counts: PairCounts) -> Outcomes:
    """The counted segments with their areas in pixels."""
    return Outcomes(
        tuple((m.gt.class_index, m.iou, pair.gt_areas[m.gt.id]) for m in counts.matches),
        tuple((s.class_index, pair.pred_areas[s.id]) for s in counts.spurious),
        tuple((s.class_index, pair.gt_areas[s.id]) for s in counts.missed),
    )


def size_of(area: int) -> str:
    """``small`` under 32 x 32 pixels, ``medium`` under 96 x 96, else ``large``."""
    return "small" if area < _MEDIUM_FROM else "medium" if area < _LARGE_FROM else "large"


class SegmentTally:
    """Sums of outcomes per class.

    Images must be added in one fixed order: each IoU is added to one running sum, so that the sums equal the
    reference's to the last bit, in whatever process the images were compared.

    Args:
        taxonomy: the classes.
        counts_area: which segments count, by their pixels; matches go by the ground-truth segment. None for all.
    """

    def __init__(self, taxonomy: Taxonomy, counts_area: Callable[[int], bool] | None = None) -> None:
        self._taxonomy = taxonomy
        self._counts_area = counts_area or (lambda area: True)
        self.iou = [0.0] * len(taxonomy)
        self.tp, self.fp, self.fn = ([0] * len(taxonomy) for _ in range(3))

    def add(self, outcomes: Outcomes) -> None:
        for class_index, iou, area in outcomes.matched:
            if self._counts_area(area):
                self.tp[class_index] += 1
                self.iou[class_index] += iou
        for sums, segments in ((self.fp, outcomes.spurious), (self.fn, outcomes.missed)):
            for class_index, area in segments:
                sums[class_index] += self._counts_area(area)

    def result(self) -> PanopticQualityResult:
        return summarise(self._taxonomy, self.iou, self.tp, self.fp, self.fn)


def tally_by_size(taxonomy: Taxonomy) -> dict[str, SegmentTally]:
    """A tally for each of ``SIZES``: every segment is counted in exactly one, so their TP, FP and FN add up."""
    return {size: SegmentTally(taxonomy, lambda area, size=size: size_of(area) == size) for size in SIZES}
