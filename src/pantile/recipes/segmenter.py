"""Segmenter (Strudel et al., ICCV 2021): as RankSeg (He et al., ECCV 2022, arXiv:2203.04187) trains it on five
vocabularies of 60 to 1284 classes, and a nano size.

RankSeg's code is a port of Segmenter to MMSegmentation, which is followed where the two codes differ (see
``models.segmenter``): the loss is the mean over all pixels, void and padding too. The names say four sizes of ViT;
published scores are of ViT-B and ViT-L.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pantile import engine, inference, losses, models
from pantile.data import AugmentConfig, FitConfig
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.recipes.mask2former import small_run
from pantile.recipes.registry import ALL_RECIPES

#: timm names with the original's weights (AugReg)
BACKBONES = {
    "ti": "vit_tiny_patch16_384.augreg_in21k_ft_in1k",
    "s": "vit_small_patch16_384.augreg_in21k_ft_in1k",
    "b": "vit_base_patch16_384.augreg_in21k_ft_in1k",
    "l": "vit_large_patch16_384.augreg_in21k_ft_in1k",
}


@dataclass(frozen=True)
class Schedule:
    """How a data set is trained on.

    Attributes:
        steps: of 8 images.
        crop: side in pixels.
        large_crop: of ViT-L.
        short_side: of an image at scale 1; None is the crop's.
        long_side: its limit at test; None is four times the shorter one.
        weight_decay: of kernels and their biases, but for ViT-L, which has none.
    """

    steps: int
    crop: int = 512
    large_crop: int = 640
    short_side: int | None = None
    long_side: int | None = None
    weight_decay: float = 0.0


SCHEDULES = {
    "pascal_context": Schedule(80_000, crop=480, large_crop=480, short_side=520, long_side=4160, weight_decay=1e-6),
    "ade20k": Schedule(160_000, weight_decay=1e-6),
    "coco_stuff10k": Schedule(40_000),
    "ade20k_full": Schedule(160_000),
    "coco_lvis": Schedule(320_000, weight_decay=1e-6),
}


def segmenter(backbone: str, dataset: str) -> engine.RunConfig:
    """A row of RankSeg's tables without ranking.

    Args:
        backbone: of ``BACKBONES``.
        dataset: of ``SCHEDULES``.
    """
    schedule = SCHEDULES[dataset]
    crop = schedule.large_crop if backbone == "l" else schedule.crop
    short_side = schedule.short_side or crop
    return engine.RunConfig(
        recipe="",
        model=models.SegmenterConfig(
            backbone=BACKBONES[backbone],
            pretrained=True,
            image_size=(crop, crop),
            positions="bicubic",
            norm_eps=1e-6,
        ),
        augment=mmseg_augmentation(crop, short_side),
        criterion=losses.SemanticCriterionConfig(mean_over="all"),
        merge=SemanticMergeConfig(),
        optimizer=engine.OptimizerConfig(
            kind="sgd",
            learning_rate=1e-3,
            backbone_multiplier=1.0,
            weight_decay=0.0 if backbone == "l" else schedule.weight_decay,
            decay_biases=True,
            poly_power=0.9,
            poly_end=0.01,
            warmup=0.0,
        ),
        training=engine.TrainingConfig(steps=schedule.steps, effective_batch=8, precision="fp32"),
        evaluation_size=FitConfig(short_side=short_side, long_side=schedule.long_side or 4 * short_side, multiple=1),
        windows=inference.Windows(size=(crop, crop), smaller_images="shrink"),
    )


def segmenter_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        engine.RunConfig(
            recipe="",
            model=models.segmenter_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.SemanticCriterionConfig(),
            merge=SemanticMergeConfig(),
        )
    )
    config.optimizer.gradient_clip = 1.0
    config.augment.crop = config.evaluation_size = (192, 192)
    return config


def mmseg_augmentation(crop: int, short_side: int) -> AugmentConfig:
    """MMSegmentation's: the shorter side becomes 0.5 to 2 times ``short_side``, in steps of 16 pixels; a crop in which
    one class covers three quarters is drawn anew."""
    return AugmentConfig(
        crop=(crop, crop),
        short_side=tuple(range(short_side // 2, 2 * short_side + 1, 16)),
        max_side=8 * short_side,
        single_category_max_area=0.75,
        pad_position="bottom_right",
        ssd_jitter=True,
        copy_paste=0.0,
        redraws=0,
    )


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    f"segmenter_{backbone}_{dataset}": partial(segmenter, backbone, dataset)
    for backbone in BACKBONES
    for dataset in SCHEDULES
}
ALL_RECIPES.register_all(RECIPES | {"segmenter_nano": segmenter_nano})
