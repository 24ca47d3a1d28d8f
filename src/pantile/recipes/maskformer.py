"""MaskFormer (Cheng et al., NeurIPS 2021): the rows of its tables on four data sets, and a nano size.

Semantic recipes are for a data set whose classes are all stuff. ResNets have six encoder layers in the panoptic task;
Swin has none, a learning rate of its own and the same rate in its backbone.

In fp32, as the original; ``--set training.precision=bf16`` is faster on GPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from pantile import engine, losses, models
from pantile.data import AugmentConfig, FitConfig, PartConfig
from pantile.merge import query_config as presets
from pantile.recipes import mask2former
from pantile.recipes.mask2former import DROP_PATH_SWIN, short_side_recipe, small_run
from pantile.recipes.registry import ALL_RECIPES

#: timm names; ``r101c`` has three convolutions in its stem, and Gluon's are timm's only weights of it.
BACKBONES = {**mask2former.BACKBONES, "r101c": "resnet101s.gluon_in1k"}


def maskformer_coco(backbone: str = "r50") -> engine.RunConfig:
    """COCO panoptic: 554,400 steps of 64 images.

    DETR's augmentation: the shorter side becomes 480 to 800, for half of the samples of a random part of the image; the
    longer side at most 1333, 1000 with Swin-L, and 1333 at test.
    """
    config = engine.RunConfig(
        recipe="",
        model=_model(backbone, encoder_layers=0 if backbone.startswith("swin") else 6),
        augment=AugmentConfig(
            crop=(1344, 1344),  # holds every image
            short_side=tuple(range(480, 801, 32)),
            max_side=1000 if backbone == "swin_l" else 1333,
            part=PartConfig(),
            pad_position="bottom_right",
            pad="batch",
            pad_multiple=1,  # SIZE_DIVISIBILITY 0 of the original, here as at test time
            ssd_jitter=False,
            copy_paste=0.0,
            redraws=0,
        ),
        criterion=losses.maskformer_criterion(),
        merge=presets.maskformer("coco"),
        optimizer=_optimizer(backbone, steps=554_400),
        training=engine.TrainingConfig(steps=554_400, effective_batch=64, precision="fp32"),
        evaluation_size=FitConfig(short_side=800, long_side=1333, multiple=1),
    )
    config.optimizer.schedule, config.optimizer.milestones = "step", (369_600 / 554_400,)
    return config


def maskformer_ade20k(backbone: str = "r50", task: Literal["panoptic", "semantic"] = "panoptic") -> engine.RunConfig:
    """ADE20K with 16 images a step: panoptic 720 k steps at 640, semantic 160 k at 512, Swin-B and -L at 640."""
    panoptic = task == "panoptic"
    size = 640 if panoptic or backbone in ("swin_b", "swin_l") else 512
    return _short_side_run(
        backbone,
        encoder_layers=6 if panoptic else 0,
        augment=short_side_recipe(size, crop=(size, size)),
        steps=720_000 if panoptic else 160_000,
        evaluation_size=FitConfig(short_side=size, long_side=4 * size),
    )


def maskformer_cityscapes_semantic(backbone: str = "r101") -> engine.RunConfig:
    """Cityscapes: 90 k steps of 16 crops of 512x1024."""
    augment = short_side_recipe(1024, crop=(512, 1024))
    return _short_side_run(backbone, 0, augment, 90_000, FitConfig(short_side=1024, long_side=2048))


def maskformer_mapillary_semantic(backbone: str = "r50") -> engine.RunConfig:
    """Mapillary Vistas: 300 k steps of 16 crops of 1280."""
    augment = short_side_recipe(2048, crop=(1280, 1280))
    return _short_side_run(backbone, 0, augment, 300_000, FitConfig(short_side=2048, long_side=2048))


def maskformer_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    return small_run(
        engine.RunConfig(
            recipe="",
            model=models.maskformer_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.maskformer_criterion(),
            merge=presets.QueryMergeConfig(object_threshold=0.5, overlap_threshold=0.5, pixel_test=False),
        )
    )


def _short_side_run(
    backbone: str, encoder_layers: int, augment: AugmentConfig, steps: int, evaluation_size: FitConfig
) -> engine.RunConfig:
    return engine.RunConfig(
        recipe="",
        model=_model(backbone, encoder_layers),
        augment=augment,
        criterion=losses.maskformer_criterion(),
        merge=presets.maskformer("ade20k"),
        optimizer=_optimizer(backbone, steps),
        training=engine.TrainingConfig(steps=steps, effective_batch=16, precision="fp32"),
        evaluation_size=evaluation_size,
    )


def _model(backbone: str, encoder_layers: int) -> models.MaskFormerConfig:
    return models.MaskFormerConfig(
        backbone=BACKBONES[backbone],
        pretrained=True,
        backbone_drop_path=DROP_PATH_SWIN if backbone.startswith("swin") else 0.0,
        encoder_layers=encoder_layers,
    )


def _optimizer(backbone: str, steps: int) -> engine.OptimizerConfig:
    swin = backbone.startswith("swin")
    return engine.OptimizerConfig(
        learning_rate=6e-5 if swin else 1e-4,
        backbone_multiplier=1.0 if swin else 0.1,
        weight_decay=0.01 if swin else 1e-4,
        decay_biases=True,
        warmup=1_500 / steps if swin else 0.0,
        warmup_start=1e-6,
        gradient_clip=0.01,
    )


_SWINS = ("swin_t", "swin_s", "swin_b", "swin_l")

RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"maskformer_{name}_coco": partial(maskformer_coco, name) for name in ("r50", "r101", *_SWINS)},
    **{f"maskformer_{name}_ade20k": partial(maskformer_ade20k, name) for name in ("r50", "r101")},
    **{
        f"maskformer_{name}_ade20k_semantic": partial(maskformer_ade20k, name, "semantic")
        for name in ("r50", "r101", "r101c", *_SWINS)
    },
    **{
        f"maskformer_{name}_cityscapes_semantic": partial(maskformer_cityscapes_semantic, name)
        for name in ("r101", "r101c")
    },
    "maskformer_r50_mapillary_semantic": maskformer_mapillary_semantic,
    "maskformer_nano": maskformer_nano,
}
ALL_RECIPES.register_all(RECIPES)
