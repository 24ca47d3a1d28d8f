"""Metrics on panoptic maps; each is a ``torchmetrics.Metric`` and adds up over processes.

The names below load on first use: what only counts arrays (``pantile.score``) does not import torch.
"""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "average_precision": ("MaskAveragePrecision",),
        "average_precision_result": ("AveragePrecisionResult",),
        "class_maps": ("semantic_of",),
        "comparison": ("Comparison", "compare_maps"),
        "consistency_result": ("VideoConsistencyResult",),
        "evaluated_batch": ("instances_of",),
        "instance_map": ("map_of_instances",),
        "mask_tracks": ("MaskTrack", "tracks_of"),
        "pair_counts": ("PairCounts", "count_pair"),
        "error_tally": ("PanopticErrorsResult",),
        "panoptic_errors": ("PanopticErrors",),
        "panoptic_quality": ("PanopticQuality",),
        "presence_quality": ("PresenceQuality", "PresenceQualityResult"),
        "quality": ("PanopticQualityResult", "image_quality", "quality_of"),
        "segmentation_tracking_quality": ("SegmentationTrackingQuality",),
        "semantic_quality": ("SemanticQuality",),
        "semantic_result": ("SemanticQualityResult",),
        "stq_result": ("StqResult",),
        "thing_quality": ("ThingQuality",),
        "thing_result": ("ThingQualityResult",),
        "track_average_precision": ("TrackAveragePrecision",),
        "track_rows": ("TrackAveragePrecisionResult",),
        "video_consistency": ("VideoConsistency",),
        "video_panoptic_quality": ("VideoPanopticQuality",),
        "vpq_result": ("VideoPanopticQualityResult",),
        "worst_confused": ("WorstConfused",),
    },
)
