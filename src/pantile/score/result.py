"""Score: evidence of all images, added up, and what it says."""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import NamedTuple

from pantile.contracts.taxonomy import Taxonomy
from pantile.metrics.class_confusion import Swallowed, class_iou, swallowed_classes
from pantile.metrics.error_tally import ErrorTally, PanopticErrorsResult
from pantile.metrics.quality import PanopticQualityResult
from pantile.metrics.segment_tally import SegmentTally, counts_by_class, tally_by_size
from pantile.metrics.thing_confusion import ThingConfusion
from pantile.metrics.thing_pixels import ThingPixels
from pantile.metrics.thing_result import ThingQualityResult
from pantile.metrics.without_nan import without_nan
from pantile.score.evidence import PARTS, Evidence, Part

_PAIRS_IN_FILE = 50
_WORST_IN_FILE = 50


class ImageCounts(NamedTuple):
    """One image.

    Attributes:
        name: its file.
        quality: PQ of this image alone, NaN where no class occurs.
        classes: class index -> summed IoU, TP, FP and FN.
    """

    name: str
    quality: float
    classes: dict[int, tuple[float, int, int, int]]


@dataclass(frozen=True)
class Score:
    """What is known about a set of predictions; fractions of 1, NaN where there is nothing to divide by, None for what
    was not asked for (see ``Part``).

    Attributes:
        quality: PQ, SQ and RQ.
        by_size: the same over small, medium and large segments.
        boundary: Boundary PQ.
        things: pixel accuracy and precision of things.
        confusion: predicted things that cover several objects.
        iou: intersection over union of each class.
        swallowed: pairs of classes by confused pixels, most first.
        errors: mistakes by kind, with the PQ that each kind costs.
        worst: (PQ of the image alone, file), worst first.
        images: in the ground truth, and so in every number.
        missing: of those, the ones without a prediction; they count as predicted all void.
        unknown: predictions of images that the ground truth lacks; they count nowhere.
        per_class: a predicted segment is all pixels of its class, so that nothing is said of single things, and the
            classes of pixels come before segments.
    """

    quality: PanopticQualityResult
    by_size: dict[str, PanopticQualityResult] | None
    boundary: PanopticQualityResult | None
    things: ThingPixels | None
    confusion: ThingConfusion | None
    iou: dict[str, float] | None
    swallowed: list[Swallowed] | None
    worst: list[tuple[float, str]]
    images: int
    missing: int
    unknown: int
    per_class: bool = False
    errors: PanopticErrorsResult | None = None

    @property
    def miou(self) -> float:
        """Mean over the classes that are true or predicted somewhere, as in ``SemanticQuality``."""
        known = [value for value in (self.iou or {}).values() if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    def to_dict(self) -> dict:
        """The groups of ``pantile eval`` and more, in plain containers; NaN becomes None."""
        groups = ("all", "things", "stuff")
        content = self.quality.to_dict()
        if self.by_size is not None:
            content["panoptic_by_size"] = {
                size: {group: asdict(getattr(result, group)) for group in groups}
                for size, result in self.by_size.items()
            }
        if self.boundary is not None:
            content["boundary_panoptic"] = asdict(self.boundary)
        if self.things is not None and self.confusion is not None and not self.per_class:
            content |= ThingQualityResult(self.things, self.confusion).to_dict()
        if self.iou is not None and self.swallowed is not None:
            content["semantic"] = {"miou": self.miou, "per_class": self.iou}
            content["class_confusion"] = [row._asdict() for row in self.swallowed[:_PAIRS_IN_FILE]]
        if self.errors is not None:
            content |= self.errors.to_dict()
        content["worst_images"] = [{"file_name": name, "pq": pq} for pq, name in self.worst[:_WORST_IN_FILE]]
        content["images"] = {"scored": self.images, "without_prediction": self.missing, "unknown": self.unknown}
        return without_nan(content)


class Totals:
    """Adds evidence up; the result depends neither on the order of images nor on who added which.

    Args:
        taxonomy: the classes.
        parts: what the evidence holds beside segments.
        keep_images: also keep the counts of each image.

    Attributes:
        images: of each image, in the order in which they came; empty unless kept.
        rules_differ: images that the other rule about crowd would count otherwise.
    """

    def __init__(self, taxonomy: Taxonomy, parts: Collection[Part] = PARTS, keep_images: bool = False) -> None:
        self._taxonomy = taxonomy
        self._keep_images = keep_images
        self._parts = parts
        self._segments = SegmentTally(taxonomy)
        self._by_size = tally_by_size(taxonomy) if "sizes" in parts else {}
        self._boundaries = SegmentTally(taxonomy)
        self._things = ThingPixels()
        self._confusion = ThingConfusion()
        self._classes: Counter[tuple[int, int]] = Counter()
        self._errors = ErrorTally(taxonomy)
        self._qualities: list[tuple[float, str]] = []
        self.images: list[ImageCounts] = []
        self.rules_differ = 0

    def add(self, name: str, evidence: Evidence) -> None:
        self._segments.add(evidence.segments)
        for tally in self._by_size.values():
            tally.add(evidence.segments)
        if evidence.boundaries is not None:
            self._boundaries.add(evidence.boundaries)
        if evidence.things is not None and evidence.confusion is not None:
            self._things = self._things.plus(evidence.things)
            self._confusion = self._confusion.plus(evidence.confusion)
        if evidence.classes is not None:
            self._classes.update(evidence.classes)
        if evidence.counts is not None and evidence.errors is not None:
            self._errors.add(evidence.counts, evidence.errors)
        self._qualities.append((evidence.quality, name))
        if self._keep_images:
            self.images.append(ImageCounts(name, evidence.quality, counts_by_class(evidence.segments)))
        self.rules_differ += evidence.rules_differ

    def join(self, other: "Totals") -> None:
        """Adds what others have added up of other images."""
        self._segments.join(other._segments)
        for size, tally in self._by_size.items():
            tally.join(other._by_size[size])
        self._boundaries.join(other._boundaries)
        self._things = self._things.plus(other._things)
        self._confusion = self._confusion.plus(other._confusion)
        self._classes.update(other._classes)
        self._errors.join(other._errors)
        self._qualities += other._qualities
        self.images += other.images
        self.rules_differ += other.rules_differ

    def score(self, missing: int, unknown: int, per_class: bool = False) -> Score:
        counted = set(self._parts)
        return Score(
            quality=self._segments.result(),
            by_size={size: tally.result() for size, tally in self._by_size.items()} if "sizes" in counted else None,
            boundary=self._boundaries.result() if "boundary" in counted else None,
            things=self._things if "things" in counted else None,
            confusion=self._confusion if "things" in counted else None,
            iou=class_iou(self._classes, self._taxonomy) if "miou" in counted else None,
            swallowed=swallowed_classes(self._classes, self._taxonomy) if "miou" in counted else None,
            worst=sorted((pq, name) for pq, name in self._qualities if not math.isnan(pq)),
            images=len(self._qualities),
            missing=missing,
            unknown=unknown,
            per_class=per_class,
            errors=self._errors.result() if "errors" in counted else None,
        )
