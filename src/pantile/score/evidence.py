"""Everything that a score takes from one image, as plain numbers."""

from collections import Counter
from collections.abc import Collection
from typing import Literal, NamedTuple, get_args

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.boundary_quality import boundary_counts
from pantile.metrics.class_confusion import class_pixels
from pantile.metrics.map_pair import compare
from pantile.metrics.pair_counts import CrowdRule, PairCounts, match_segments, rules_differ
from pantile.metrics.quality import quality_of
from pantile.metrics.segment_errors import SegmentErrors, errors_of
from pantile.metrics.segment_tally import Outcomes, outcomes_of
from pantile.metrics.thing_confusion import ThingConfusion, thing_confusion
from pantile.metrics.thing_pixels import ThingPixels, thing_pixels

#: What is counted: segments alone ("pq"), and beside them PQ by segment size, by boundaries, what is said of things,
#: the classes of pixels, and mistakes by kind.
Part = Literal["pq", "sizes", "boundary", "things", "miou", "errors"]
ALL_PARTS: tuple[Part, ...] = get_args(Part)
#: unless more is asked for
PARTS: tuple[Part, ...] = tuple(part for part in ALL_PARTS if part != "errors")


class Evidence(NamedTuple):
    """One image, ready to be added up; what was not asked for is None.

    Attributes:
        segments: outcomes by mask IoU.
        quality: PQ of this image alone, NaN where no class occurs.
        rules_differ: whether the other rule about crowd would count otherwise.
        boundaries: outcomes by the smaller of mask IoU and Boundary IoU.
        things: pixels of things.
        confusion: predicted things over several objects.
        classes: pixels by (true, predicted) class index.
        counts: the segments by their outcome, where ``errors`` are told.
        errors: mistakes by kind.
    """

    segments: Outcomes
    quality: float
    rules_differ: bool = False
    boundaries: Outcomes | None = None
    things: ThingPixels | None = None
    confusion: ThingConfusion | None = None
    classes: Counter[tuple[int, int]] | None = None
    counts: PairCounts | None = None
    errors: SegmentErrors | None = None


def evidence_of(
    pred: PanopticMap,
    gt: PanopticMap,
    taxonomy: Taxonomy,
    crowd: CrowdRule = "all",
    parts: Collection[Part] = PARTS,
) -> Evidence:
    """
    Args:
        crowd: see ``CrowdRule``.
        parts: what is counted beside segments.

    Raises:
        UserError: see ``pantile.metrics.count_pair``.
    """
    pair = compare(pred, gt)
    counts = match_segments(pair, crowd=crowd)
    return Evidence(
        segments=outcomes_of(pair, counts),
        quality=quality_of(counts),
        rules_differ=rules_differ(pair),
        boundaries=outcomes_of(pair, boundary_counts(pair, crowd=crowd)) if "boundary" in parts else None,
        things=thing_pixels(pair, counts, taxonomy) if "things" in parts else None,
        confusion=thing_confusion(pair, taxonomy) if "things" in parts else None,
        classes=class_pixels(pair) if "miou" in parts else None,
        counts=counts if "errors" in parts else None,
        errors=errors_of(pair, counts) if "errors" in parts else None,
    )
