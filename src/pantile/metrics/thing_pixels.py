"""Pixel accuracy and pixel precision of things.

de Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation on High-Resolution Images" (WACV 2023),
equations 2 and 3. A pixel is a true positive if it lies in a predicted thing segment that matches a ground-truth
segment (same class, IoU > 0.5) and in that ground-truth segment.
"""

import math
from typing import NamedTuple

from pantile.contracts.panoptic import VOID_ID
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.map_pair import MapPair
from pantile.metrics.pair_counts import PairCounts


class ThingPixels(NamedTuple):
    """Pixels of one image or, added up, of a data set; the fractions divide once, over all pixels.

    Attributes:
        tp: pixels of matched predictions inside their ground-truth segment.
        fp: other pixels of predicted thing segments, without those on void and on crowd of their class.
        truth: pixels of ground-truth things, crowd left out.
    """

    tp: int = 0
    fp: int = 0
    truth: int = 0

    def plus(self, other: "ThingPixels") -> "ThingPixels":
        return ThingPixels(self.tp + other.tp, self.fp + other.fp, self.truth + other.truth)

    @property
    def accuracy(self) -> float:
        """Equation 2, 0..1; NaN without ground-truth things."""
        return self.tp / self.truth if self.truth else math.nan

    @property
    def precision(self) -> float:
        """Equation 3, 0..1; NaN without predicted things."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else math.nan


def thing_pixels(pair: MapPair, counts: PairCounts, taxonomy: Taxonomy) -> ThingPixels:
    """The counts of one image.

    The paper does not say what void and crowd do; here they do what they do in PQ: neither is ground truth to be found,
    and predictions on void, or on crowd of their own class, are no mistake.
    """
    things = set(taxonomy.thing_indices)
    matched = {(m.gt.id, m.pred.id) for m in counts.matches}
    tp = fp = 0
    for gt_id, pred_id, area in pair.overlaps:
        if pred_id == VOID_ID or gt_id == VOID_ID or pair.pred_rows[pred_id].class_index not in things:
            continue
        gt_segment = pair.gt_rows[gt_id]
        if gt_segment.is_crowd and gt_segment.class_index == pair.pred_rows[pred_id].class_index:
            continue
        if (gt_id, pred_id) in matched:
            tp += area
        else:
            fp += area
    truth = sum(pair.gt_areas[s.id] for s in pair.gt.segments if s.class_index in things and not s.is_crowd)
    return ThingPixels(tp, fp, truth)
