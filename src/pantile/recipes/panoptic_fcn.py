"""Panoptic FCN (Li et al., CVPR 2021, arXiv:2012.00720): the rows of its tables; those with Intra-Batch Supervision.

SGD, poly 0.9, a warm-up of 1000 steps, gradients clipped number by number. The fast variants are the same weights with
fewer candidates.

In fp32, as the original; ``--set training.precision=bf16`` is faster on GPUs.

On Cityscapes and Mapillary Vistas: de Geus and Dubbelman, "Intra-Batch Supervision for Panoptic Segmentation on
High-Resolution Images" (WACV 2023), Tables 1 to 3. The weight of its loss is the published code's, where it multiplies
the weight of the mask losses: 4 on Cityscapes, 15 on Mapillary Vistas; the paper says 1, and that 0.5 to 5 work alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from pantile import engine, losses, models, techniques
from pantile.data import AugmentConfig, FitConfig, PairConfig
from pantile.merge import panoptic_fcn_config as presets
from pantile.recipes.mask2former import CITYSCAPES_PAIRS, MAPILLARY_PAIRS, small_run
from pantile.recipes.registry import ALL_RECIPES

#: torchvision's weights. The original starts from MSRA's, which timm has not: their ResNet halves the size in the first
#: convolution of a block, torchvision's in the second.
BACKBONE = "resnet50.tv_in1k"

Sampling = Literal["full", "crop", "ibs", "ibs_random"]

CITYSCAPES_RANGES = ((1, 128), (64, 256), (128, 512), (256, 1024), (512, 2048))
MAPILLARY_RANGES = (*CITYSCAPES_RANGES[:4], (512, 4096))
#: shorter side at test time: those of training; the longer side's limit in training and at test; kernels per object
COCO_SIZES = {
    800: (range(640, 801, 32), 1333, 1333, 7),
    600: (range(440, 601, 32), 1000, 1000, 5),
    512: (range(352, 513, 32), 853, 853, 3),
    400: (range(352, 513, 32), 854, 666, 3),
}


def panoptic_fcn_coco(
    size: int = 800, steps: int = 270_000, star: bool = False, fast: bool = False
) -> engine.RunConfig:
    """COCO: 16 images a step, 90 k steps (1x) or 270 k (3x)."""
    short_sides, longest, longest_at_test, kernels = COCO_SIZES[size]
    return engine.RunConfig(
        recipe="",
        model=models.PanopticFCNConfig(
            backbone=BACKBONE, pretrained=True, embed_channels=256 if star else 64, deformable_encoder=star
        ),
        augment=_whole_images(longest, tuple(short_sides)),
        criterion=losses.PanopticFCNCriterionConfig(kernels_per_object=kernels),
        merge=presets.coco(fast),
        optimizer=_sgd(0.01, steps, warmup_steps=1_000, clip=35.0),
        training=engine.TrainingConfig(steps=steps, effective_batch=16, precision="fp32"),
        evaluation_size=FitConfig(short_side=size, long_side=longest_at_test),
    )


def panoptic_fcn_cityscapes(sampling: Sampling = "crop") -> engine.RunConfig:
    """Cityscapes: 65 k steps of 32 crops of 512x1024, or 100 k of 4 whole images."""
    full = sampling == "full"
    steps, batch, rate = (100_000, 4, 0.005) if full else (65_000, 32, 0.02)
    config = engine.RunConfig(
        recipe="",
        model=models.PanopticFCNConfig(
            backbone=BACKBONE, pretrained=True, embed_channels=256, candidates=100, thing_regions="by_class"
        ),
        augment=AugmentConfig(
            # whole images: within twice the native 1024x2048 nothing is cropped; 0.25 to 1 of it is 0.5 to 2 natively
            crop=(2048, 4096) if full else (512, 1024),
            scale_range=(0.25, 1.0) if full else (0.5, 2.0),
            scale_relative_to="fit" if full else "native",
            crop_on_thing=not full,
            ssd_jitter=False,
            copy_paste=0.0,
            pad_position="bottom_right",
            pad="batch" if full else "crop",
        ),
        criterion=losses.PanopticFCNCriterionConfig(level_ranges=CITYSCAPES_RANGES, segment_weight=4.0),
        merge=presets.cityscapes(),
        optimizer=_sgd(rate, steps, warmup_steps=1_000, clip=5.0),
        training=engine.TrainingConfig(steps=steps, effective_batch=batch, precision="fp32"),
        evaluation_size=FitConfig(short_side=1024, long_side=2048),
    )
    return _supervised(config, sampling, weight=4.0, pairs=CITYSCAPES_PAIRS)


def panoptic_fcn_mapillary(sampling: Sampling = "crop") -> engine.RunConfig:
    """Mapillary Vistas: 150 k steps of 32 crops of 1024, or of 8 whole images."""
    full = sampling == "full"
    steps, batch, rate = (150_000, 8, 0.005) if full else (150_000, 32, 0.02)
    short_sides = tuple(range(1024, 2049, 128))
    config = engine.RunConfig(
        recipe="",
        model=_model(embed_channels=256, candidates=100),
        augment=_whole_images(4096, short_sides) if full else _crops(short_sides),
        criterion=losses.PanopticFCNCriterionConfig(level_ranges=MAPILLARY_RANGES, kernels_per_object=3),
        merge=presets.mapillary(),
        optimizer=_sgd(rate, steps, warmup_steps=2_000, clip=5.0),
        training=engine.TrainingConfig(steps=steps, effective_batch=batch, precision="fp32"),
        evaluation_size=FitConfig(short_side=2048, long_side=2048),
    )
    return _supervised(config, sampling, weight=15.0, pairs=MAPILLARY_PAIRS)


def panoptic_fcn_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        engine.RunConfig(
            recipe="",
            model=models.panoptic_fcn_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.PanopticFCNCriterionConfig(
                level_ranges=((1, 64), (32, 128), (64, 2048)), kernels_per_object=3
            ),
            merge=presets.PanopticFCNMergeConfig(stuff_area_limit=256),
        )
    )
    config.optimizer.gradient_clip = None
    return config


def _supervised(config: engine.RunConfig, sampling: Sampling, weight: float, pairs: PairConfig) -> engine.RunConfig:
    """With the loss and, for "ibs", its sampling."""
    if sampling.startswith("ibs"):
        paired = sampling == "ibs"
        config.techniques.intra_batch = techniques.IntraBatchConfig(
            weight=weight, points=0, partner="pairs" if paired else "random"
        )
        config.augment.pairs = replace(pairs) if paired else None
    return config


def _model(**options: object) -> models.PanopticFCNConfig:
    return models.PanopticFCNConfig(backbone=BACKBONE, pretrained=True, **options)


def _whole_images(long_side: int, short_sides: tuple[int, ...]) -> AugmentConfig:
    """No crop: a square holds the largest image either way up, and a batch is padded to its own largest."""
    square = -(-long_side // 32) * 32
    return AugmentConfig(
        crop=(square, square),
        short_side=short_sides,
        max_side=long_side,
        ssd_jitter=False,
        copy_paste=0.0,
        redraws=0,
        pad_position="bottom_right",
        pad="batch",
    )


def _crops(short_sides: tuple[int, ...]) -> AugmentConfig:
    """Each on a thing, as on Cityscapes."""
    return AugmentConfig(
        crop=(1024, 1024),
        short_side=short_sides,
        crop_on_thing=True,
        ssd_jitter=False,
        copy_paste=0.0,
        pad_position="bottom_right",
    )


def _sgd(learning_rate: float, steps: int, warmup_steps: int, clip: float) -> engine.OptimizerConfig:
    return engine.OptimizerConfig(
        kind="sgd",
        learning_rate=learning_rate,
        backbone_multiplier=1.0,
        weight_decay=1e-4,
        decay_biases=True,
        momentum=0.9,
        warmup=warmup_steps / steps,
        gradient_clip=clip,
        clip_by="value",
    )


def _coco_rows() -> dict[str, Callable[[], engine.RunConfig]]:
    rows = {
        "1x": partial(panoptic_fcn_coco, steps=90_000),
        "3x": panoptic_fcn_coco,
        "400_3x": partial(panoptic_fcn_coco, 400),
        "512_3x": partial(panoptic_fcn_coco, 512),
        "600_3x": partial(panoptic_fcn_coco, 600),
        "star_3x": partial(panoptic_fcn_coco, star=True),
    }
    return rows | {f"{name}_fast": partial(recipe, fast=True) for name, recipe in rows.items()}


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"panoptic_fcn_r50_{name}_coco": recipe for name, recipe in _coco_rows().items()},
    **{
        f"panoptic_fcn_r50_{name}": partial(recipe, sampling)
        for data, recipe in (("cityscapes", panoptic_fcn_cityscapes), ("mapillary", panoptic_fcn_mapillary))
        for name, sampling in (
            (f"full_{data}", "full"),
            (data, "crop"),
            (f"ibs_{data}", "ibs"),
            (f"ibs_random_{data}", "ibs_random"),
        )
    },
    "panoptic_fcn_nano": panoptic_fcn_nano,
}
ALL_RECIPES.register_all(RECIPES)
