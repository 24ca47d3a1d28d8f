"""Everything that a score takes from one image, as plain numbers."""

from collections import Counter
from typing import NamedTuple

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.boundary_quality import boundary_counts
from pantile.metrics.class_confusion import class_pixels
from pantile.metrics.map_pair import compare
from pantile.metrics.pair_counts import CrowdRule, match_segments, rules_differ
from pantile.metrics.quality import quality_of
from pantile.metrics.segment_tally import Outcomes, outcomes_of
from pantile.metrics.thing_confusion import ThingConfusion, thing_confusion
from pantile.metrics.thing_pixels import ThingPixels, thing_pixels


class Evidence(NamedTuple):
    """One image, ready to be added up.

    Attributes:
        segments: outcomes by mask IoU.
        boundaries: outcomes by the smaller of mask IoU and Boundary IoU.
        things: pixels of things.
        confusion: predicted things over several objects.
        classes: pixels by (true, predicted) class index.
        quality: PQ of this image alone, NaN where no class occurs.
        rules_differ: whether the other rule about crowd would count otherwise.
    """

    segments: Outcomes
    boundaries: Outcomes
    things: ThingPixels
    confusion: ThingConfusion
    classes: Counter[tuple[int, int]]
    quality: float
    rules_differ: bool = False


def evidence_of(pred: PanopticMap, gt: PanopticMap, taxonomy: Taxonomy, crowd: CrowdRule = "all") -> Evidence:
    """
    Args:
        crowd: see ``CrowdRule``.

    Raises:
        UserError: see ``pantile.metrics.count_pair``.
    """
    pair = compare(pred, gt)
    counts = match_segments(pair, crowd=crowd)
    return Evidence(
        segments=outcomes_of(pair, counts),
        boundaries=outcomes_of(pair, boundary_counts(pair, crowd=crowd)),
        things=thing_pixels(pair, counts, taxonomy),
        confusion=thing_confusion(pair, taxonomy),
        classes=class_pixels(pair),
        quality=quality_of(counts),
        rules_differ=rules_differ(pair),
    )
