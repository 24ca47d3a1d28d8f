"""Metrics on panoptic maps; each is a ``torchmetrics.Metric`` and adds up over processes.

The names below load on first use: what only counts arrays (``pantile.score``) does not import torch.
"""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "average_precision": ("AveragePrecisionResult", "MaskAveragePrecision"),
        "comparison": ("Comparison", "compare_maps"),
        "instance_map": ("map_of_instances",),
        "pair_counts": ("PairCounts", "count_pair"),
        "panoptic_quality": ("PanopticQuality",),
        "presence_quality": ("PresenceQuality", "PresenceQualityResult"),
        "quality": ("PanopticQualityResult", "image_quality", "quality_of"),
        "semantic_quality": ("SemanticQuality", "SemanticQualityResult", "semantic_of"),
        "thing_quality": ("ThingQuality",),
        "thing_result": ("ThingQualityResult",),
        "worst_confused": ("WorstConfused",),
    },
)
