"""Mistakes by kind, added up over a data set, and the PQ that each kind costs."""

from dataclasses import asdict, dataclass

import numpy as np

from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.exact_sums import iou_of_units, iou_units
from pantile.metrics.pair_counts import PairCounts
from pantile.metrics.quality import PanopticQualityResult, summarise
from pantile.metrics.segment_errors import KINDS, Kind, SegmentErrors
from pantile.metrics.without_nan import without_nan

_LOW_BITS = 27  # a sum of IoUs, in ``iou_units``, is kept in two halves: 2**36 of them still fit
_TP, _FP, _FN, _RAISED, _HIGH, _LOW = range(6)


@dataclass
class KindOfError:
    """What one kind of mistake costs; fractions of 1, NaN where there is no PQ or would be none after the repair.

    Attributes:
        lost_pq: PQ when mistakes of this kind alone are repaired, less PQ as it is.
        lost_pq_things, lost_pq_stuff: the same of the means over things and over stuff; None of a single class.
        fn, fp: false negatives and false positives of this kind.
        raised: matches whose IoU the repair raises.
    """

    lost_pq: float
    lost_pq_things: float | None
    lost_pq_stuff: float | None
    fn: int
    fp: int
    raised: int


@dataclass
class PanopticErrorsResult:
    """Mistakes by kind. FN of all kinds add up to the false negatives of PQ, and FP to its false positives; the
    losses have no meaningful sum, since repairs help each other.

    Attributes:
        kinds: every kind of ``KINDS``.
        per_class: class name -> the kinds that occur in it; classes without mistakes are absent.
    """

    kinds: dict[Kind, KindOfError]
    per_class: dict[str, dict[Kind, KindOfError]]

    def most_lost(self) -> "list[tuple[str, dict[Kind, KindOfError]]]":
        """``per_class``, the class that loses most to a single kind first."""

        def most(rows: dict[Kind, KindOfError]) -> float:
            return max((row.lost_pq for row in rows.values() if row.lost_pq == row.lost_pq), default=0.0)

        return sorted(self.per_class.items(), key=lambda item: (-most(item[1]), item[0]))

    def to_dict(self) -> dict:
        """``{"panoptic_errors": {"kinds", "per_class"}}`` in plain containers; NaN becomes None."""
        return {"panoptic_errors": without_nan(asdict(self))}


class ErrorTally:
    """Sums of counts and of mistakes; in whatever order and however many parts they come, the result is the same.

    Args:
        taxonomy: the classes.
        sums: to go on from.

    Attributes:
        sums: (1 + kinds, 6, K) int64. First all segments: TP, FP, FN, nothing, and the higher and the lower bits of
            the summed IoU. Then for each kind what its repair changes: TP gained, FP and FN gone, matches raised, and
            the IoU gained.
    """

    def __init__(self, taxonomy: Taxonomy, sums: np.ndarray | None = None) -> None:
        self._taxonomy = taxonomy
        self.sums = np.zeros((1 + len(KINDS), 6, len(taxonomy)), np.int64) if sums is None else sums

    def add(self, counts: PairCounts, errors: SegmentErrors) -> None:
        """
        Args:
            counts, errors: of one image.
        """
        everything, *of_kinds = self.sums
        tables = dict(zip(KINDS, of_kinds, strict=True))
        for match in counts.matches:
            _count(everything, match.gt.class_index, _TP, iou_units(match.iou))
        for segment in counts.spurious:
            _count(everything, segment.class_index, _FP)
        for segment in counts.missed:
            _count(everything, segment.class_index, _FN)
        for kind, class_index, iou in errors.missed:
            _count(tables[kind], class_index, _FN)
            _count(tables[kind], class_index, _TP, iou_units(iou))
        for kind, class_index in errors.spurious:
            _count(tables[kind], class_index, _FP)
        for kind, class_index, before, after in errors.raised:
            _count(tables[kind], class_index, _RAISED, iou_units(after) - iou_units(before))

    def join(self, other: "ErrorTally") -> None:
        """Adds what another tally has counted."""
        self.sums = self.sums + other.sums

    def result(self) -> PanopticErrorsResult:
        everything, *of_kinds = self.sums
        before = self._quality(everything)
        kinds, per_class = {}, {}
        for kind, changes in zip(KINDS, of_kinds, strict=True):
            after = self._quality(_repaired(everything, changes))
            fn, fp, raised = (changes[row].tolist() for row in (_FN, _FP, _RAISED))
            lost = [getattr(after, group).pq - getattr(before, group).pq for group in ("all", "things", "stuff")]
            kinds[kind] = KindOfError(*lost, sum(fn), sum(fp), sum(raised))
            for index, name in enumerate(self._taxonomy.names):
                if fn[index] or fp[index] or raised[index]:
                    gain = after.per_class[name].pq - before.per_class[name].pq
                    row = KindOfError(gain, None, None, fn[index], fp[index], raised[index])
                    per_class.setdefault(name, {})[kind] = row
        return PanopticErrorsResult(
            kinds, {name: per_class[name] for name in self._taxonomy.names if name in per_class}
        )

    def _quality(self, table: np.ndarray) -> PanopticQualityResult:
        tp, fp, fn, _, high, low = table.tolist()
        iou = [iou_of_units((more << _LOW_BITS) + less) for more, less in zip(high, low, strict=True)]
        return summarise(self._taxonomy, iou, tp, fp, fn)


def _count(table: np.ndarray, class_index: int, row: int, units: int = 0) -> None:
    table[row, class_index] += 1
    table[_HIGH, class_index] += units >> _LOW_BITS
    table[_LOW, class_index] += units & (1 << _LOW_BITS) - 1


def _repaired(everything: np.ndarray, changes: np.ndarray) -> np.ndarray:
    table = everything + changes
    for row in (_FP, _FN):
        table[row] = everything[row] - changes[row]
    return table
