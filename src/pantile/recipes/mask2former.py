"""Mask2Former (Cheng et al., CVPR 2022): the rows of its tables on four data sets and three tasks, and a nano size.

A model is trained for one task: a recipe of the instance task is for a data set of things only, one of the semantic
task for a data set whose classes are all stuff. The loss is the same; panoptic recipes have no suffix. Instance recipes
leave out images without things.

The original ran in fp16 with loss scaling; here it is bf16, which needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from pantile import engine, losses, models, techniques
from pantile.data import AugmentConfig, FitConfig, PairConfig
from pantile.merge import query_config as presets
from pantile.recipes.registry import ALL_RECIPES

#: timm names with the originals' weights: ResNets start from torchvision's first ones; Swin-T and -S from ImageNet-1k,
#: Swin-B and -L from 22k, ``swin_b_in1k`` from 1k.
BACKBONES = {
    "r50": "resnet50.tv_in1k",
    "r101": "resnet101.tv_in1k",
    "swin_t": "swin_tiny_patch4_window7_224.ms_in1k",
    "swin_s": "swin_small_patch4_window7_224.ms_in1k",
    "swin_b_in1k": "swin_base_patch4_window12_384.ms_in1k",
    "swin_b": "swin_base_patch4_window12_384.ms_in22k",
    "swin_l": "swin_large_patch4_window12_384.ms_in22k",
}
DROP_PATH_SWIN = 0.3
#: of Intra-Batch Supervision's code
CITYSCAPES_PAIRS = PairConfig(min_short_side=512, max_short_side=3096, max_long_side=6192)
MAPILLARY_PAIRS = PairConfig(min_short_side=1024, max_short_side=6192, max_long_side=9288)

Task = Literal["panoptic", "instance", "semantic"]


def mask2former_coco(backbone: str = "r50", task: Literal["panoptic", "instance"] = "panoptic") -> engine.RunConfig:
    """COCO panoptic or instance with large-scale jittering at 1024: 50 epochs, Swin-L 100, of 16 images a step."""
    large = backbone == "swin_l"
    steps = 737_500 if large else 368_750
    milestones = (655_556, 710_184) if large else (327_778, 355_092)
    return engine.RunConfig(
        recipe="",
        model=_model(backbone, num_queries=200 if large else 100),
        augment=replace(large_scale_jittering(), filter_empty=task == "instance"),
        criterion=losses.SetCriterionConfig(),
        merge=presets.mask2former("coco"),
        optimizer=engine.OptimizerConfig(
            learning_rate=1e-4,
            backbone_multiplier=0.1,
            weight_decay=0.05,
            decay_biases=True,
            schedule="step",
            milestones=tuple(step / steps for step in milestones),
            warmup=0.0,
            gradient_clip=0.01,
        ),
        training=engine.TrainingConfig(steps=steps, effective_batch=16),
        evaluation_size=FitConfig(short_side=800, long_side=1333),
    )


def mask2former_ade20k(backbone: str = "r50", task: Task = "panoptic") -> engine.RunConfig:
    """ADE20K: 160 k steps of 16 images at 640, semantic at 512 but for Swin-B and -L."""
    config = mask2former_coco(backbone)
    semantic = task == "semantic"
    size = 512 if semantic and not backbone.startswith(("swin_b", "swin_l")) else 640
    config.model.num_queries = 200 if backbone == "swin_l" and not semantic else 100
    config.model.frozen_batch_norm = not (semantic and backbone == "r101")
    config.augment = short_side_recipe(size, crop=(size, size))
    config.augment.filter_empty = task == "instance"
    config.merge = presets.mask2former("ade20k")
    config.evaluation_size = FitConfig(short_side=size, long_side=4 * size)
    return _poly(config, steps=160_000)


def mask2former_cityscapes(backbone: str = "r50", task: Task = "panoptic") -> engine.RunConfig:
    """Cityscapes: 90 k steps of 16 crops of 512x1024; batch norms are trained."""
    config = mask2former_coco(backbone)
    config.model.num_queries = 200 if backbone == "swin_l" and task != "semantic" else 100
    config.model.frozen_batch_norm = False
    config.augment = short_side_recipe(1024, crop=(512, 1024))
    config.augment.filter_empty = task == "instance"
    config.merge = presets.mask2former("cityscapes")
    config.evaluation_size = FitConfig(short_side=1024, long_side=2048)
    return _poly(config, steps=90_000)


def mask2former_mapillary(backbone: str = "r50", task: Task = "panoptic") -> engine.RunConfig:
    """Mapillary Vistas: 300 k steps of 16 crops of 1024.

    Segments outside of the crop are dropped here; the published panoptic results are of training with them.
    """
    config = mask2former_coco(backbone)
    config.model.num_queries = 200 if backbone == "swin_l" and task != "semantic" else 100
    config.augment = short_side_recipe(2048, crop=(1024, 1024))
    config.augment.filter_empty = task == "instance"
    config.merge = presets.mask2former("mapillary")
    config.evaluation_size = FitConfig(short_side=2048, long_side=2048)
    return _poly(config, steps=300_000)


def mask2former_ibs_cityscapes() -> engine.RunConfig:
    """With Intra-Batch Supervision (de Geus and Dubbelman, WACV 2023).

    The weight is the published code's; the paper says 100.
    """
    return _with_intra_batch(mask2former_cityscapes(), weight=50.0, pairs=CITYSCAPES_PAIRS)


def mask2former_ibs_mapillary(task: Task = "panoptic", supervised: bool = True) -> engine.RunConfig:
    """As above: 300 k steps of 16 crops of 1024 from images of 1024 to 2048 pixels."""
    config = mask2former_mapillary("r50", task)
    config.augment.short_side, config.augment.max_side = tuple(range(1024, 2049, 128)), None
    return _with_intra_batch(config, weight=100.0, pairs=MAPILLARY_PAIRS) if supervised else config


def _with_intra_batch(config: engine.RunConfig, weight: float, pairs: PairConfig) -> engine.RunConfig:
    config.techniques.intra_batch = techniques.IntraBatchConfig(weight=weight, partner="pairs")
    config.augment.pairs = replace(pairs)
    return config


def mask2former_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    return small_run(
        engine.RunConfig(
            recipe="",
            model=models.mask2former_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.SetCriterionConfig(points=1024),
            merge=presets.QueryMergeConfig(object_threshold=0.5, overlap_threshold=0.5),
        )
    )


def small_run(config: engine.RunConfig) -> engine.RunConfig:
    """Length, rates and sizes of the nano recipes."""
    config.augment = AugmentConfig(
        crop=(193, 193), scale_range=(0.7, 1.4), ssd_jitter=True, copy_paste=0.0, pad_position="bottom_right"
    )
    config.optimizer = engine.OptimizerConfig(
        learning_rate=1e-3,
        backbone_multiplier=1.0,
        weight_decay=0.02,
        warmup=0.05,
        warmup_start=0.01,
        gradient_clip=0.01,
    )
    config.training = engine.TrainingConfig(
        steps=1_200, effective_batch=4, workers=1, validate_every=0.25, validation_images=50, checkpoint_minutes=2.0
    )
    config.evaluation_size = (193, 193)
    return config


def large_scale_jittering() -> AugmentConfig:
    """Ghiasi et al. 2021, at 1024 pixels."""
    return AugmentConfig(
        crop=(1024, 1024),
        scale_range=(0.1, 2.0),
        scale_relative_to="fit",
        pad_position="bottom_right",
        pad_value=128,
        ssd_jitter=False,
        copy_paste=0.0,
        redraws=0,
    )


def short_side_recipe(size: int, crop: tuple[int, int]) -> AugmentConfig:
    """The shorter side becomes 0.5 to 2 times ``size`` in 16 steps, the longer one at most 4 times."""
    return AugmentConfig(
        crop=crop,
        short_side=tuple(size * tenths // 10 for tenths in range(5, 21)),
        max_side=4 * size,
        pad_position="bottom_right",
        pad_value=128,
        ssd_jitter=True,
        copy_paste=0.0,
        redraws=0,
    )


def _model(backbone: str, num_queries: int) -> models.Mask2FormerConfig:
    return models.Mask2FormerConfig(
        backbone=BACKBONES[backbone],
        pretrained=True,
        backbone_drop_path=DROP_PATH_SWIN if backbone.startswith("swin") else 0.0,
        num_queries=num_queries,
    )


def _poly(config: engine.RunConfig, steps: int) -> engine.RunConfig:
    config.optimizer.schedule = "poly"
    config.training.steps = steps
    return config


_ALL = ("r50", "r101", "swin_t", "swin_s", "swin_b_in1k", "swin_b", "swin_l")
_WITHOUT_IN1K = ("r50", "r101", "swin_t", "swin_s", "swin_b", "swin_l")
_TWO = ("r50", "swin_l")

RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"mask2former_{name}_coco": partial(mask2former_coco, name) for name in _ALL},
    **{f"mask2former_{name}_coco_instance": partial(mask2former_coco, name, "instance") for name in _ALL},
    **{f"mask2former_{name}_ade20k": partial(mask2former_ade20k, name) for name in _TWO},
    **{f"mask2former_{name}_ade20k_instance": partial(mask2former_ade20k, name, "instance") for name in _TWO},
    **{f"mask2former_{name}_ade20k_semantic": partial(mask2former_ade20k, name, "semantic") for name in _ALL},
    **{f"mask2former_{name}_cityscapes": partial(mask2former_cityscapes, name) for name in _WITHOUT_IN1K},
    **{
        f"mask2former_{name}_cityscapes_{task}": partial(mask2former_cityscapes, name, task)
        for name in _WITHOUT_IN1K
        for task in ("instance", "semantic")
    },
    **{f"mask2former_{name}_mapillary": partial(mask2former_mapillary, name) for name in _TWO},
    **{f"mask2former_{name}_mapillary_semantic": partial(mask2former_mapillary, name, "semantic") for name in _TWO},
    "mask2former_r50_ibs_cityscapes": mask2former_ibs_cityscapes,
    "mask2former_r50_ibs_mapillary": mask2former_ibs_mapillary,
    "mask2former_r50_ibs_mapillary_instance": partial(mask2former_ibs_mapillary, "instance"),
    "mask2former_r50_crop_mapillary": partial(mask2former_ibs_mapillary, supervised=False),
    "mask2former_r50_crop_mapillary_instance": partial(mask2former_ibs_mapillary, "instance", supervised=False),
    "mask2former_nano": mask2former_nano,
}
ALL_RECIPES.register_all(RECIPES)
