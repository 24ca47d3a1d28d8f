"""Confusion between things: predicted segments that cover several objects at once.

de Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation on High-Resolution Images" (WACV 2023),
section 6.2 and Figure 5: the share of predicted thing segments that cover more than T % of each of at least two
ground-truth things.
"""

import math
from typing import NamedTuple

from pantile.contracts.panoptic import VOID_ID
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import MapPair

THRESHOLDS = tuple(range(5, 55, 5))  # T, percent of a ground-truth thing's pixels


class ThingConfusion(NamedTuple):
    """Predicted thing segments of one image or, added up, of a data set.

    Attributes:
        confused: for each of ``THRESHOLDS``, how many cover more than that of at least two ground-truth things.
        segments: all of them.
    """

    confused: tuple[int, ...] = (0,) * len(THRESHOLDS)
    segments: int = 0

    def plus(self, other: "ThingConfusion") -> "ThingConfusion":
        both = zip(self.confused, other.confused, strict=True)
        return ThingConfusion(tuple(a + b for a, b in both), self.segments + other.segments)

    @property
    def curve(self) -> tuple[float, ...]:
        """The share of confused segments at each threshold, 0..1, falling; NaN without predicted things."""
        return tuple(n / self.segments if self.segments else math.nan for n in self.confused)


class ConfusedSegment(NamedTuple):
    """A predicted thing segment that covers several ground-truth things.

    Attributes:
        id: of the predicted segment.
        things: (ground-truth id, share of its pixels that the segment covers, 0..1), the largest share first; at least
            two.
        pixels: of the second thing that are covered.
    """

    id: int
    things: tuple[tuple[int, float], ...]
    pixels: int

    @property
    def share(self) -> float:
        """The second-largest share: the segment is confused at every threshold below it."""
        return self.things[1][1]


def thing_confusion(pair: MapPair, taxonomy: Taxonomy) -> ThingConfusion:
    """The counts of one image. Classes need not agree: a segment over two cars is confused, whatever it is called.

    Crowd regions are not objects, so they confuse nothing.
    """
    covered = _covered(pair, taxonomy)
    second = [things[1] for things in covered.values() if len(things) > 1]
    percents = [100 * area / pair.gt_areas[gt_id] for gt_id, area in second]
    return ThingConfusion(tuple(sum(percent > t for percent in percents) for t in THRESHOLDS), len(covered))


def confused_segments(pair: MapPair, taxonomy: Taxonomy) -> list[ConfusedSegment]:
    """The segments of one image that are confused at the lowest threshold, by their share, most confused first."""
    found = []
    for pred_id, things in _covered(pair, taxonomy).items():
        if len(things) > 1 and 100 * things[1][1] / pair.gt_areas[things[1][0]] > THRESHOLDS[0]:
            shares = tuple((gt_id, area / pair.gt_areas[gt_id]) for gt_id, area in things)
            found.append(ConfusedSegment(pred_id, shares, things[1][1]))
    return sorted(found, key=lambda segment: (-segment.share, -segment.pixels, segment.id))


def _covered(pair: MapPair, taxonomy: Taxonomy) -> dict[int, list[tuple[int, int]]]:
    """(ground-truth thing, shared pixels) of every predicted thing segment, the largest share of a thing first."""
    things = set(taxonomy.thing_indices)
    objects = {s.id for s in pair.gt.segments if s.class_index in things and not s.is_crowd}
    covered: dict[int, list[tuple[int, int]]] = {s.id: [] for s in pair.pred.segments if s.class_index in things}
    for gt_id, pred_id, area in pair.overlaps:
        if pred_id != VOID_ID and pred_id in covered and gt_id in objects:
            covered[pred_id].append((gt_id, area))
    for rows in covered.values():
        rows.sort(key=lambda row: (-row[1] / pair.gt_areas[row[0]], -row[1]))
    return covered
