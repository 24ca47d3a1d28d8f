"""The recipe of TinyQueries."""

from pantile.data import AugmentConfig
from pantile.engine.config import OptimizerConfig, RunConfig, TrainingConfig
from pantile.losses import SetCriterionConfig
from pantile.merge import QueryMergeConfig
from pantile.models import ARCHITECTURES
from pantile.recipes.registry import ALL_RECIPES


@ALL_RECIPES.register("tiny_queries_nano")
def tiny_queries_nano() -> RunConfig:
    """For trying things out on two CPU cores."""
    return RunConfig(
        recipe="",
        model=ARCHITECTURES["tiny_queries"].config_class(),
        augment=AugmentConfig(crop=(128, 128), scale_range=(0.8, 1.25)),
        criterion=SetCriterionConfig(points=1024),
        merge=QueryMergeConfig(object_threshold=0.5),
        optimizer=OptimizerConfig(learning_rate=1e-3, backbone_multiplier=1.0, warmup=0.05),
        training=TrainingConfig(steps=400, effective_batch=8, workers=1, validate_every=0.5, validation_images=20),
        evaluation_size=(128, 128),
    )
