"""SeMask under Mask2Former (Jain et al., arXiv:2112.12782): its row on ADE20K, and a nano size."""

from __future__ import annotations

from pantile import engine, losses, models
from pantile.recipes.mask2former import mask2former_ade20k, mask2former_nano
from pantile.recipes.registry import ALL_RECIPES


@ALL_RECIPES.register("semask_swin_l_ade20k_semantic")
def semask_swin_l_ade20k_semantic() -> engine.RunConfig:
    """Mask2Former's settings with Swin-L."""
    config = mask2former_ade20k("swin_l", "semantic")
    config.model = models.SeMaskConfig(**vars(config.model) | {"architecture": "semask"})
    config.criterion = losses.SeMaskCriterionConfig()
    return config


@ALL_RECIPES.register("semask_nano")
def semask_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = mask2former_nano()
    config.model = models.semask_nano_config()
    config.criterion = losses.SeMaskCriterionConfig(**vars(config.criterion) | {"kind": "semask"})
    return config
