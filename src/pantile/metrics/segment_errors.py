"""What went wrong with each segment that counts as a mistake: missed, merged, split, of the wrong class, ...

The idea is that of TIDE for boxes (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors",
ECCV 2020): each mistake has exactly one kind, and a kind weighs as much as the measure gains when an oracle repairs
that kind and nothing else. Segments of a panoptic map do not overlap and have no confidence, so two of its kinds are
others here: instead of a duplicate, a truth may be *split* and several truths may be *merged*. TIDE's "both" (wrong
class and bad border) is a missed truth and a hallucinated prediction, since no single repair makes a match of the two.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Literal, NamedTuple, get_args

from pantile.contracts.panoptic import VOID_ID
from pantile.metrics.map_pair import SegmentOverlaps
from pantile.metrics.pair_counts import PairCounts

#: In the words of ``errors_of``.
Kind = Literal["missed", "hallucinated", "wrong_class", "merged", "split", "bad_border", "loose_border"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BORDER_FROM = 0.1  # IoU; TIDE's threshold between background and bad localisation


class SegmentErrors(NamedTuple):
    """The mistakes in one image, and what becomes of them when their kind is repaired.

    Attributes:
        missed: (kind, class index, IoU of the match that it becomes, in 0.5..1) of each false negative.
        spurious: (kind, class index) of each false positive; repaired, it is gone.
        raised: (kind, class index, IoU, IoU when repaired) of the matches that a repair improves; a match may stand
            under several kinds.
    """

    missed: tuple[tuple[Kind, int, float], ...]
    spurious: tuple[tuple[Kind, int], ...]
    raised: tuple[tuple[Kind, int, float, float], ...]


def errors_of(pair: SegmentOverlaps, counts: PairCounts) -> SegmentErrors:
    """The kind of each mistake, from the overlaps alone; the first that fits, in this order.

    wrong_class: a truth and a prediction of another class whose IoU exceeds 0.5. Repaired, the prediction has the
        class of the truth, and the IoU stays.
    merged: truths of one class, each mostly (by more than half of its pixels) within one prediction of that class,
        whose IoU with the prediction exceeds 0.5 when they are joined. Repaired, the prediction is cut between them:
        each is a match with that IoU.
    split: predictions of one class, each mostly on one truth of that class, whose IoU with the truth exceeds 0.5 when
        they are joined. Repaired, they are one match with that IoU.
    bad_border: a prediction and the truth of its class without a match with which it has the greatest IoU, above 0.1.
        Repaired, the truth is a match with IoU 1, and the predictions that meant it are gone.
    missed, hallucinated: the truths and the predictions that are left. Repaired, a truth is a match with IoU 1, and a
        prediction is gone.
    loose_border: no mistake of counts, but what a match lacks: it gets IoU 1.

    A matched segment may be one of those merged or split, and its IoU grows when they are repaired. Pixels on void
    leave the area of a prediction, as in PQ. Crowd regions explain nothing, and what PQ ignores is no mistake, though
    an ignored prediction may be why a truth counts as of the wrong class. An oracle looks at its segments alone: pixels
    that it gives them are not taken from others.

    Args:
        pair: the segments of an image.
        counts: which of them match.
    """
    explained = _Explained(pair, counts)
    explained.find_wrong_classes()
    explained.find_joined("merged")
    explained.find_joined("split")
    explained.find_bad_borders()
    return explained.errors()


class _Explained:
    """The kinds found so far; who has one keeps it."""

    def __init__(self, pair: SegmentOverlaps, counts: PairCounts) -> None:
        self._pair, self._counts = pair, counts
        on_void = {p: area for g, p, area in pair.overlaps if g == VOID_ID}
        self._net_areas = {p: area - on_void.get(p, 0) for p, area in pair.pred_areas.items()}
        ignored = {s.id for s in counts.ignored}
        self._same: dict[tuple[int, int], int] = {}  # pixels of a truth and a prediction of its class, by their ids
        self._crossed: dict[tuple[int, int], int] = {}  # the same of a truth and a prediction of another class
        for g, p, area in pair.overlaps:
            if VOID_ID in (g, p) or pair.gt_rows[g].is_crowd:
                continue
            if pair.gt_rows[g].class_index != pair.pred_rows[p].class_index:
                self._crossed[g, p] = area
            elif p not in ignored:
                self._same[g, p] = area
        self._missed: dict[int, tuple[Kind, float] | None] = {s.id: None for s in counts.missed}
        self._spurious: dict[int, Kind | None] = {s.id: None for s in counts.spurious}
        self._raised: list[tuple[Kind, int, float, float]] = []

    def find_wrong_classes(self) -> None:
        for (g, p), area in self._crossed.items():
            iou = area / (self._pair.gt_areas[g] + self._net_areas[p] - area)
            if iou > 0.5:
                self._explain("wrong_class", {g}, {p}, iou)

    def find_joined(self, kind: Literal["merged", "split"]) -> None:
        """Truths that lie mostly within one prediction, or predictions that lie mostly on one truth."""
        groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for (g, p), area in self._same.items():
            if 2 * area > (self._pair.gt_areas[g] if kind == "merged" else self._net_areas[p]):
                groups[p if kind == "merged" else g].append((g, p))
        for members in groups.values():
            if len(members) < 2:
                continue
            truths, predictions = {g for g, _ in members}, {p for _, p in members}
            shared = sum(self._same[member] for member in members)
            areas = sum(self._pair.gt_areas[g] for g in truths) + sum(self._net_areas[p] for p in predictions)
            iou = shared / (areas - shared)
            if iou > 0.5:
                self._explain(kind, truths, predictions, iou)

    def find_bad_borders(self) -> None:
        open_pairs = [
            (g, p) for g, p in self._same if self._missed.get(g, 0) is None and self._spurious.get(p, 0) is None
        ]
        meant: dict[int, tuple[float, int]] = {}
        for g, p in open_pairs:
            area = self._same[g, p]
            iou = area / (self._pair.gt_areas[g] + self._net_areas[p] - area)
            if iou > max(BORDER_FROM, meant.get(p, (0.0, 0))[0]):
                meant[p] = (iou, g)
        for p, (_, g) in meant.items():
            self._explain("bad_border", {g}, {p}, 1.0)

    def _explain(self, kind: Kind, truths: Collection[int], predictions: Collection[int], iou: float) -> None:
        """
        Args:
            truths, predictions: ids; a match among them has both ends there.
            iou: of every match that there is between them after the repair.
        """
        for g in truths:
            if g in self._missed:
                self._missed[g] = self._missed[g] or (kind, iou)
        for p in predictions:
            if p in self._spurious:
                self._spurious[p] = self._spurious[p] or kind
        self._raised += [
            (kind, match.gt.class_index, match.iou, iou)
            for match in self._counts.matches
            if match.gt.id in truths and match.pred.id in predictions and iou > match.iou
        ]

    def errors(self) -> SegmentErrors:
        loose: list[tuple[Kind, int, float, float]] = [
            ("loose_border", match.gt.class_index, match.iou, 1.0) for match in self._counts.matches if match.iou < 1
        ]
        missed = ((self._missed[s.id] or ("missed", 1.0), s.class_index) for s in self._counts.missed)
        return SegmentErrors(
            tuple((kind, class_index, iou) for (kind, iou), class_index in missed),
            tuple((self._spurious[s.id] or "hallucinated", s.class_index) for s in self._counts.spurious),
            tuple(self._raised + loose),
        )
