"""Metrics on panoptic maps; each is a ``torchmetrics.Metric`` and adds up over processes."""

from pantile.metrics.pair_counts import PairCounts, count_pair
from pantile.metrics.panoptic_quality import PanopticQuality, PanopticQualityResult, image_quality

__all__ = ["PairCounts", "PanopticQuality", "PanopticQualityResult", "count_pair", "image_quality"]
