"""What became of each segment of an image, and sums over a data set: PQ as a whole and by segment size."""

from typing import NamedTuple

from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.exact_sums import iou_of_units, iou_units
from pantile.metrics.map_pair import MapPair
from pantile.metrics.pair_counts import PairCounts
from pantile.metrics.quality import PanopticQualityResult, summarise

SIZES = ("small", "medium", "large")
_MEDIUM_FROM, _LARGE_FROM = 32**2, 96**2  # pixels, as COCO divides its objects


class Outcomes(NamedTuple):
    """The segments of one image that count, without their maps; small enough to travel between processes.

    Attributes:
        matched: (class index, IoU, pixels of the ground-truth segment).
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


def counts_by_class(outcomes: Outcomes) -> dict[int, tuple[float, int, int, int]]:
    """Class index -> summed IoU, TP, FP and FN, of the classes that occur."""
    rows: dict[int, list[float]] = {}
    for class_index, iou, _ in outcomes.matched:
        row = rows.setdefault(class_index, [0.0, 0, 0, 0])
        row[0] += iou
        row[1] += 1
    for column, segments in ((2, outcomes.spurious), (3, outcomes.missed)):
        for class_index, _ in segments:
            rows.setdefault(class_index, [0.0, 0, 0, 0])[column] += 1
    return {class_index: tuple(row) for class_index, row in rows.items()}


class SegmentTally:
    """Sums of outcomes per class; in whatever order and however many parts they come, the result is the same.

    Args:
        taxonomy: the classes.
        size: which of ``SIZES`` counts; matches go by the ground-truth segment. None for all segments.

    Attributes:
        iou: summed IoU of each class, see ``iou_units``.
        tp, fp, fn: segments of each class.
    """

    def __init__(self, taxonomy: Taxonomy, size: str | None = None) -> None:
        self._taxonomy = taxonomy
        self._size = size
        self.iou, self.tp, self.fp, self.fn = ([0] * len(taxonomy) for _ in range(4))

    def add(self, outcomes: Outcomes) -> None:
        wanted = self._size
        for class_index, iou, area in outcomes.matched:
            if wanted is None or size_of(area) == wanted:
                self.tp[class_index] += 1
                self.iou[class_index] += iou_units(iou)
        for sums, segments in ((self.fp, outcomes.spurious), (self.fn, outcomes.missed)):
            for class_index, area in segments:
                if wanted is None or size_of(area) == wanted:
                    sums[class_index] += 1

    def join(self, other: "SegmentTally") -> None:
        """Adds what another tally has counted."""
        for name in ("iou", "tp", "fp", "fn"):
            sums = zip(getattr(self, name), getattr(other, name), strict=True)
            setattr(self, name, [one + more for one, more in sums])

    def result(self) -> PanopticQualityResult:
        return summarise(self._taxonomy, [iou_of_units(units) for units in self.iou], self.tp, self.fp, self.fn)


def tally_by_size(taxonomy: Taxonomy) -> dict[str, SegmentTally]:
    """A tally for each of ``SIZES``: every segment is counted in exactly one, so their TP, FP and FN add up."""
    return {size: SegmentTally(taxonomy, size) for size in SIZES}
