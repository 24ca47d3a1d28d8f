"""Metrics on panoptic maps; each is a ``torchmetrics.Metric`` and adds up over processes.

The names below load on first use: what only counts arrays (``pantile.score``) does not import torch.
"""

import importlib
from typing import Any

_HOME = {
    "AveragePrecisionResult": "pantile.metrics.average_precision_result",
    "Comparison": "pantile.metrics.comparison",
    "MaskAveragePrecision": "pantile.metrics.average_precision",
    "MaskTrack": "pantile.metrics.mask_tracks",
    "PairCounts": "pantile.metrics.pair_counts",
    "PanopticQuality": "pantile.metrics.panoptic_quality",
    "PanopticQualityResult": "pantile.metrics.quality",
    "PresenceQuality": "pantile.metrics.presence_quality",
    "PresenceQualityResult": "pantile.metrics.presence_quality",
    "SegmentationTrackingQuality": "pantile.metrics.segmentation_tracking_quality",
    "SemanticQuality": "pantile.metrics.semantic_quality",
    "SemanticQualityResult": "pantile.metrics.semantic_result",
    "StqResult": "pantile.metrics.stq_result",
    "ThingQuality": "pantile.metrics.thing_quality",
    "ThingQualityResult": "pantile.metrics.thing_result",
    "TrackAveragePrecision": "pantile.metrics.track_average_precision",
    "TrackAveragePrecisionResult": "pantile.metrics.track_rows",
    "VideoConsistency": "pantile.metrics.video_consistency",
    "VideoConsistencyResult": "pantile.metrics.consistency_result",
    "VideoPanopticQuality": "pantile.metrics.video_panoptic_quality",
    "VideoPanopticQualityResult": "pantile.metrics.vpq_result",
    "WorstConfused": "pantile.metrics.worst_confused",
    "compare_maps": "pantile.metrics.comparison",
    "count_pair": "pantile.metrics.pair_counts",
    "image_quality": "pantile.metrics.quality",
    "instances_of": "pantile.contracts.run_lengths",
    "map_of_instances": "pantile.metrics.instance_map",
    "quality_of": "pantile.metrics.quality",
    "semantic_of": "pantile.metrics.class_maps",
    "tracks_of": "pantile.metrics.mask_tracks",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pantile.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
