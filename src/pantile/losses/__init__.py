"""Losses: pure functions, a matcher, and one criterion per model family. All in float32; no criterion calls a model."""

from pantile.losses.center_targets import CenterTargets, center_targets
from pantile.losses.centers import CenterCriterion, CenterCriterionConfig
from pantile.losses.instance_discrimination import pixel_contrastive_loss
from pantile.losses.kmax import KMaXCriterion, KMaXCriterionConfig
from pantile.losses.mask_id import false_positive_negative, mask_id_loss, mask_losses
from pantile.losses.matching import drop_unmatched, hungarian, rows_to_queries
from pantile.losses.panoptic_fcn import PanopticFCNCriterion, PanopticFCNCriterionConfig
from pantile.losses.pixel_draw import draw_pixels
from pantile.losses.position_targets import PositionTargets, position_targets, stuff_channels, thing_heat
from pantile.losses.pq_style import class_loss, dice_loss, pq_similarity, pq_weights
from pantile.losses.resampling import resize_bilinear, sample_pixels
from pantile.losses.result import CriterionResult
from pantile.losses.semantic import sampled_semantic_loss, semantic_loss
from pantile.losses.semantic_criterion import SemanticCriterion, SemanticCriterionConfig
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig, maskformer_criterion

__all__ = [
    "CenterCriterion",
    "CenterCriterionConfig",
    "CenterTargets",
    "CriterionResult",
    "KMaXCriterion",
    "KMaXCriterionConfig",
    "PanopticFCNCriterion",
    "PanopticFCNCriterionConfig",
    "PositionTargets",
    "SemanticCriterion",
    "SemanticCriterionConfig",
    "SetCriterion",
    "SetCriterionConfig",
    "center_targets",
    "class_loss",
    "dice_loss",
    "draw_pixels",
    "drop_unmatched",
    "false_positive_negative",
    "hungarian",
    "mask_id_loss",
    "mask_losses",
    "maskformer_criterion",
    "pixel_contrastive_loss",
    "position_targets",
    "pq_similarity",
    "pq_weights",
    "resize_bilinear",
    "rows_to_queries",
    "sample_pixels",
    "sampled_semantic_loss",
    "semantic_loss",
    "stuff_channels",
    "thing_heat",
]
