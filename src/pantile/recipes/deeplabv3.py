"""DeepLabv3 (Chen et al., arXiv:1706.05587): with ResNet-50 and -101 as MMSegmentation trains it, ResNet-101 as RankSeg
compares with it (Table 7), and a nano size.

RankSeg's numbers of the plain model on ADE20K and COCO-Stuff are those that MMSegmentation published for these steps,
with several scales.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pantile import engine, losses, models
from pantile.data import AugmentConfig, FitConfig
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.recipes.mask2former import small_run
from pantile.recipes.registry import ALL_RECIPES
from pantile.recipes.segmenter import mmseg_augmentation

#: timm names of the same stem of three convolutions
BACKBONES = {"r50": "resnet50c.gluon_in1k", "r101": "resnet101c.gluon_in1k"}
#: optimizer steps of 16 images
STEPS = {"ade20k": 80_000, "coco_stuff10k": 20_000, "coco_lvis": 320_000}
SIDE = 512


def deeplabv3(backbone: str, dataset: str) -> engine.RunConfig:
    """
    Args:
        backbone: of ``BACKBONES``.
        dataset: of ``STEPS``.
    """
    return engine.RunConfig(
        recipe="",
        model=models.DeepLabV3Config(backbone=BACKBONES[backbone], pretrained=True),
        augment=mmseg_augmentation(SIDE, SIDE),
        criterion=losses.SemanticCriterionConfig(mean_over="all"),
        merge=SemanticMergeConfig(),
        optimizer=engine.OptimizerConfig(
            kind="sgd",
            learning_rate=1e-2,
            backbone_multiplier=1.0,
            weight_decay=5e-4,
            decay_biases=True,
            poly_power=0.9,
            poly_end=0.01,
            warmup=0.0,
        ),
        training=engine.TrainingConfig(steps=STEPS[dataset], effective_batch=16, precision="fp32"),
        evaluation_size=FitConfig(short_side=SIDE, long_side=4 * SIDE, multiple=1),
    )


def deeplabv3_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        engine.RunConfig(
            recipe="",
            model=models.deeplabv3_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.SemanticCriterionConfig(),
            merge=SemanticMergeConfig(),
        )
    )
    config.optimizer.gradient_clip = 1.0
    config.augment.crop = config.evaluation_size = (192, 192)
    return config


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"deeplabv3_r101_{dataset}": partial(deeplabv3, "r101", dataset) for dataset in STEPS},
    **{f"deeplabv3_r50_{dataset}": partial(deeplabv3, "r50", dataset) for dataset in ("ade20k", "coco_stuff10k")},
}
ALL_RECIPES.register_all(RECIPES | {"deeplabv3_nano": deeplabv3_nano})
