"""Metrics on panoptic maps; each is a ``torchmetrics.Metric`` and adds up over processes."""

from pantile.contracts.run_lengths import instances_of
from pantile.metrics.average_precision import AveragePrecisionResult, MaskAveragePrecision
from pantile.metrics.pair_counts import PairCounts, count_pair
from pantile.metrics.panoptic_quality import PanopticQuality
from pantile.metrics.quality import PanopticQualityResult, image_quality
from pantile.metrics.semantic_quality import SemanticQuality, SemanticQualityResult, semantic_of

__all__ = [
    "AveragePrecisionResult",
    "MaskAveragePrecision",
    "PairCounts",
    "PanopticQuality",
    "PanopticQualityResult",
    "SemanticQuality",
    "SemanticQualityResult",
    "count_pair",
    "image_quality",
    "instances_of",
    "semantic_of",
]
