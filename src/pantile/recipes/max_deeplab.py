"""MaX-DeepLab (Wang et al., CVPR 2021): COCO and Cityscapes, and a nano size.

On COCO these are the settings of deeplab2, whose own checkpoints are stronger than the paper's: Adam without weight
decay, 5000 steps of warm-up, poly, a tenth of the learning rate for what ImageNet initialised (the backbone's residual
blocks; not the memory, its layers, or the blocks beyond). The paper had RAdam with Lookahead, weight decay and a
constant drop-path rate. deeplab2 trains 100 k steps and offers 200 k and 400 k: ``--set training.steps=200000
optimizer.warmup=0.025``.

On Cityscapes they are those of CMT-DeepLab's supplement, which trained MaX-DeepLab-S there: 60 k steps,
learning rate 3e-4, 1025 x 2049, pixel-wise merge. What it does not say is as in deeplab2's kMaX-DeepLab there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pantile import engine, losses, models
from pantile.data import AugmentConfig, FitConfig
from pantile.merge import mask_config as presets
from pantile.recipes.kmax import kmax_nano
from pantile.recipes.registry import ALL_RECIPES


def max_deeplab_coco(size: str = "s", side: int = 641) -> engine.RunConfig:
    """COCO panoptic, 100 k steps of 64 images.

    Args:
        size: "s" or "l".
        side: 641 or 1025 pixels.
    """
    large = size == "l"
    return engine.RunConfig(
        recipe="",
        model=models.max_deeplab_l_config() if large else models.MaXDeepLabConfig(),
        augment=AugmentConfig(
            crop=(side, side),
            scale_range=(0.5, 1.5),
            scale_step=0.1,
            ssd_jitter=False,
            policy_magnitude=1.0 if large else 0.0,
            copy_paste=0.0,
            pad_position="random",
            redraws=0,
            min_labelled_pixels=1,
        ),
        criterion=losses.KMaXCriterionConfig(
            instance_loss="mask_mean", semantic_pixels="plain", small_thing_weight=3.0 if large else 1.0
        ),
        merge=presets.max_deeplab(side),
        optimizer=engine.OptimizerConfig(
            learning_rate=3e-4 if large else 1e-3,
            weight_decay=0.0,
            warmup=5_000 / 100_000,
            warmup_start=0.0,
            eps=1e-7,
        ),
        training=engine.TrainingConfig(steps=100_000, effective_batch=64),
        evaluation_size=(side, side),
    )


def max_deeplab_cityscapes(size: str = "s") -> engine.RunConfig:
    """Cityscapes at 1025 x 2049."""
    config = max_deeplab_coco(size)
    config.augment.crop, config.augment.scale_range = (1025, 2049), (0.5, 2.0)
    config.augment.scale_relative_to = "native"
    config.merge = replace(config.merge, thing_area_limit=256, stuff_area_limit=2048)
    config.optimizer.learning_rate, config.optimizer.warmup = 3e-4, 5_000 / 60_000
    config.training = engine.TrainingConfig(steps=60_000, effective_batch=32)
    config.evaluation_size = FitConfig(short_side=1024, long_side=2048, remainder=1)
    return config


def max_nano() -> engine.RunConfig:
    """Small enough for two CPU cores; data, schedule and merge are kmax_nano's, the losses MaX-DeepLab's."""
    config = kmax_nano()
    config.model = models.max_nano_config()
    config.criterion = replace(config.criterion, instance_loss="mask_mean", semantic_pixels="plain")
    config.merge = replace(config.merge, kind="pixel_wise")
    return config


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    "max_deeplab_s_coco": partial(max_deeplab_coco, "s", 641),
    "max_deeplab_s_1025_coco": partial(max_deeplab_coco, "s", 1025),
    "max_deeplab_l_coco": partial(max_deeplab_coco, "l", 1025),
    "max_deeplab_s_cityscapes": partial(max_deeplab_cityscapes, "s"),
    "max_deeplab_l_cityscapes": partial(max_deeplab_cityscapes, "l"),
    "max_nano": max_nano,
    "max_deeplab_nano": max_nano,  # by the architecture's name
}
ALL_RECIPES.register_all(RECIPES)
