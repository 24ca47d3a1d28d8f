"""Losses: pure functions, a matcher, and one criterion per model family. All in float32; no criterion calls a model."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "center_targets": ("CenterTargets",),
        "centers": ("CenterCriterion", "CenterCriterionConfig"),
        "instance_discrimination": ("pixel_contrastive_loss",),
        "kmax": ("KMaXCriterion", "KMaXCriterionConfig"),
        "mask_id": ("false_positive_negative", "mask_id_loss", "mask_losses"),
        "matching": ("drop_unmatched", "hungarian", "rows_to_queries"),
        "panoptic_fcn": ("PanopticFCNCriterion", "PanopticFCNCriterionConfig"),
        "pixel_draw": ("draw_pixels",),
        "position_targets": ("PositionTargets", "stuff_channels", "thing_heat"),
        "presence_criterion": ("PresenceCriterion", "PresenceCriterionConfig"),
        "pq_style": ("class_loss", "dice_loss", "pq_similarity", "pq_weights"),
        "resampling": ("resize_bilinear", "sample_pixels"),
        "result": ("CriterionResult",),
        "semask": ("SeMaskCriterionConfig",),
        "semantic": ("sampled_semantic_loss", "semantic_loss"),
        "semantic_criterion": ("SemanticCriterion", "SemanticCriterionConfig"),
        "set_criterion": ("SetCriterion", "SetCriterionConfig", "maskformer_criterion"),
    },
)
