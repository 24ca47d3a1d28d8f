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


def thing_confusion(pair: MapPair, taxonomy: Taxonomy) -> ThingConfusion:
    """The counts of one image. Classes need not agree: a segment over two cars is confused, whatever it is called.

    Crowd regions are not objects, so they confuse nothing.
    """
    things = set(taxonomy.thing_indices)
    objects = {s.id for s in pair.gt.segments if s.class_index in things and not s.is_crowd}
    covered: dict[int, list[float]] = {s.id: [] for s in pair.pred.segments if s.class_index in things}
    for gt_id, pred_id, area in pair.overlaps:
        if pred_id != VOID_ID and pred_id in covered and gt_id in objects:
            covered[pred_id].append(100 * area / pair.gt_areas[gt_id])
    second = [sorted(shares)[-2] for shares in covered.values() if len(shares) > 1]
    return ThingConfusion(tuple(sum(share > t for share in second) for t in THRESHOLDS), len(covered))
