"""Panoptic-DeepLab with SWideRNet (Chen et al., arXiv:2011.11675): the rows of its tables, ResNet-50 and a nano size.

Scaling factors lose their dots in names: ``swidernet_025_05_1`` is SWideRNet-(0.25, 0.5, 1). Settings are the paper's
(section 4); random scales, which it does not give, are deeplab2's. Adam without weight decay is AdamW with a decay of
zero. timm has no weights of these backbones: the paper's results start from ImageNet, these recipes from scratch
unless ``model.backbone_weights`` names a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from pantile import engine, losses, models
from pantile.data import AugmentConfig, FitConfig
from pantile.merge import center_config as presets
from pantile.recipes.registry import ALL_RECIPES

#: Scaling factors of Table 4 at 641 pixels, and of the fast models of Tables 5 and 12.
STRONG = ("1_1.5_1", "1_2_1", "1_1_1", "1_1_2", "1_1_3", "1_1_4", "1_1_5", "1_1_5.5", "1_1_6", "1_1.5_2", "1_1.5_3")
FAST = ("0.25_0.25_0.75", "0.25_0.35_0.75", "0.25_0.35_1", "0.25_0.5_1", "0.25_0.75_1")
DROP_PATH = 0.2  # survival rate 0.8


def panoptic_deeplab_coco(
    model: models.PanopticDeepLabConfig, size: int = 641, autoaugment: bool = False
) -> engine.RunConfig:
    """COCO panoptic: 500 k steps of 64 images."""
    return engine.RunConfig(
        recipe="",
        model=model,
        augment=AugmentConfig(
            crop=(size, size),
            scale_range=(0.5, 1.5),
            scale_step=0.1,
            ssd_jitter=False,
            policy_magnitude=0.2 if autoaugment else 0.0,  # the magnitudes of the paper's Table 2, and deeplab2's
            copy_paste=0.0,
            redraws=0,
        ),
        criterion=losses.CenterCriterionConfig(),
        merge=presets.center_coco(),
        optimizer=engine.OptimizerConfig(learning_rate=1e-4, backbone_multiplier=1.0, weight_decay=0.0, warmup=0.0),
        training=engine.TrainingConfig(steps=500_000, effective_batch=64),
        evaluation_size=(size, size),
    )


def panoptic_deeplab_cityscapes(model: models.PanopticDeepLabConfig) -> engine.RunConfig:
    """Cityscapes, fine annotations, at 1025x2049: 60 k steps of 32 images."""
    config = panoptic_deeplab_coco(model)
    config.augment.crop = config.evaluation_size = (1025, 2049)
    config.augment.scale_range = (0.5, 2.0)
    config.augment.scale_relative_to = "native"
    config.merge = presets.center_cityscapes()
    config.training = engine.TrainingConfig(steps=60_000, effective_batch=32)
    return config


def panoptic_deeplab_mapillary(model: models.PanopticDeepLabConfig) -> engine.RunConfig:
    """Mapillary Vistas, longer side 2049, 1025x2049 crops: 300 k steps of 32 images."""
    config = panoptic_deeplab_cityscapes(model)
    config.augment.scale_relative_to = "long_side"
    config.evaluation_size = FitConfig(long_side=2049, remainder=1)
    config.merge = presets.center_mapillary()
    config.training.steps = 300_000
    return config


def panoptic_deeplab_ade20k(model: models.PanopticDeepLabConfig) -> engine.RunConfig:
    """ADE20K at 641: 180 k steps of 64 images."""
    config = panoptic_deeplab_coco(model)
    config.augment.scale_range = (0.5, 2.0)
    config.merge = presets.center_ade20k()
    config.training.steps = 180_000
    return config


def panoptic_deeplab_r50_coco() -> engine.RunConfig:
    """COCO with ResNet-50 and deeplab2's settings: 200 k steps, the colour policy.

    Published at 77.8 G multiply-adds, which an ordinary ASPP would exceed by 30 G: so it is separable here.
    """
    config = panoptic_deeplab_coco(_resnet50(), autoaugment=True)
    config.training.steps = 200_000
    config.optimizer.learning_rate = 5e-4
    config.optimizer.warmup = 2_000 / 200_000
    return config


def panoptic_deeplab_r50_cityscapes() -> engine.RunConfig:
    """Cityscapes with ResNet-50 and the paper's schedule."""
    return panoptic_deeplab_cityscapes(_resnet50())


def panoptic_deeplab_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = panoptic_deeplab_coco(models.panoptic_deeplab_nano_config())
    config.augment.crop = config.evaluation_size = (193, 193)
    config.augment.scale_range, config.augment.scale_step = (0.7, 1.4), 0.0
    config.augment.pad_position = "bottom_right"
    config.criterion = losses.CenterCriterionConfig(sigma=4.0, small_area=256)  # things are smaller, too
    config.merge = replace(presets.center_coco(), stuff_area_limit=0, nms_kernel=13)
    config.optimizer.learning_rate, config.optimizer.warmup = 1e-3, 0.05
    config.training = engine.TrainingConfig(
        steps=1_200, effective_batch=4, workers=1, validate_every=0.25, validation_images=50, checkpoint_minutes=2.0
    )
    return config


def _resnet50() -> models.PanopticDeepLabConfig:
    return models.PanopticDeepLabConfig(
        backbone="resnet50.tv_in1k", pretrained=True, regime="fast", separable_norm=True
    )


def swidernet_model(factors: str, regime: Literal["strong", "fast"] = "strong") -> models.PanopticDeepLabConfig:
    """The paper's Panoptic-DeepLab on SWideRNet; ``factors`` such as "1_1_4.5" are w1, w2 and l."""
    return models.PanopticDeepLabConfig(backbone=f"swidernet_{factors}", backbone_drop_path=DROP_PATH, regime=regime)


def _wr41(multi_grid: bool = False) -> models.PanopticDeepLabConfig:
    options = models.SWideRNetConfig(multi_grid=multi_grid, drop_path=DROP_PATH)
    return models.PanopticDeepLabConfig(backbone="wr41", swidernet=options, backbone_drop_path=DROP_PATH)


def _wr41_with_sac() -> models.PanopticDeepLabConfig:
    """SWideRNet-(1, 1, 1) is WR-41 with SAC and SE."""
    options = models.SWideRNetConfig(squeeze_excite=False, drop_path=DROP_PATH)
    return models.PanopticDeepLabConfig(backbone="swidernet_1_1_1", swidernet=options, backbone_drop_path=DROP_PATH)


def _rows() -> dict[str, Callable[[], engine.RunConfig]]:
    """Names without the family's prefix."""
    rows: dict[str, Callable[[], engine.RunConfig]] = {
        "r50_coco": panoptic_deeplab_r50_coco,
        "r50_cityscapes": panoptic_deeplab_r50_cityscapes,
        "nano": panoptic_deeplab_nano,
        "wr41_coco": lambda: panoptic_deeplab_coco(_wr41()),
        "wr41_mg_coco": lambda: panoptic_deeplab_coco(_wr41(multi_grid=True)),
        "wr41_sac_coco": lambda: panoptic_deeplab_coco(_wr41_with_sac()),
        "swidernet_1_1_1_separable_coco": lambda: panoptic_deeplab_coco(swidernet_model("1_1_1", "fast")),
        "swidernet_1_1_55_coco_autoaugment": lambda: panoptic_deeplab_coco(
            swidernet_model("1_1_5.5"), autoaugment=True
        ),
        "swidernet_1_1_3_coco_1025": lambda: panoptic_deeplab_coco(swidernet_model("1_1_3"), 1025, autoaugment=True),
        "swidernet_1_1_4_coco_1025": lambda: panoptic_deeplab_coco(swidernet_model("1_1_4"), 1025, autoaugment=True),
        "swidernet_1_1_45_cityscapes": lambda: panoptic_deeplab_cityscapes(swidernet_model("1_1_4.5")),
        "swidernet_1_1_45_mapillary": lambda: panoptic_deeplab_mapillary(swidernet_model("1_1_4.5")),
        "swidernet_1_1_4_ade20k": lambda: panoptic_deeplab_ade20k(swidernet_model("1_1_4")),
        "swidernet_1_15_3_ade20k": lambda: panoptic_deeplab_ade20k(swidernet_model("1_1.5_3")),
    }
    for factors in STRONG:
        rows[f"swidernet_{factors}_coco"] = partial(_of, panoptic_deeplab_coco, factors, "strong")
    for factors in FAST:
        rows[f"swidernet_{factors}_coco"] = partial(_of, panoptic_deeplab_coco, factors, "fast")
        rows[f"swidernet_{factors}_cityscapes"] = partial(_of, panoptic_deeplab_cityscapes, factors, "fast")
    return rows


def _of(
    recipe: Callable[[models.PanopticDeepLabConfig], engine.RunConfig], factors: str, regime: str
) -> engine.RunConfig:
    return recipe(swidernet_model(factors, regime))


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    f"panoptic_deeplab_{name}".replace(".", ""): recipe for name, recipe in _rows().items()
}
ALL_RECIPES.register_all(RECIPES)
