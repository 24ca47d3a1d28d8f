"""UPerNet (Xiao et al., ECCV 2018, arXiv:1807.10221): on four sizes of Swin and two of BEiT, and a nano size.

Swin-B and BEiT-L are as their authors train them and RankSeg compares with them (Table 7), the others as MMSegmentation
does, on ADE20K.

The configuration of BEiT-L counts 320 k iterations of 8 images, two of which make a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pantile import engine, inference, losses, models
from pantile.data import AugmentConfig, FitConfig
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.recipes.mask2former import BACKBONES, small_run
from pantile.recipes.registry import ALL_RECIPES
from pantile.recipes.segmenter import mmseg_augmentation

#: optimizer steps of 16 images. Of BEiT-L on COCO+LVIS nothing was published: RankSeg's authors had not the memory
STEPS = {"ade20k": 160_000, "coco_stuff10k": 40_000, "coco_lvis": 320_000}


def upernet_swin(size: str, dataset: str) -> engine.RunConfig:
    """Of Swin-L there is a configuration at this crop, but no score.

    Args:
        size: "t", "s", "b" or "l".
        dataset: of ``STEPS``.
    """
    return _run(
        models.UPerNetConfig(backbone=BACKBONES[f"swin_{size}"], pretrained=True),
        side=512,
        steps=STEPS[dataset],
        optimizer=engine.OptimizerConfig(
            learning_rate=6e-5,
            backbone_multiplier=1.0,
            weight_decay=0.01,
            decay_biases=True,
            poly_power=1.0,
            warmup=1_500 / STEPS[dataset],
            warmup_start=1e-6,
        ),
    )


def upernet_beit_l(dataset: str) -> engine.RunConfig:
    """
    Args:
        dataset: of ``STEPS``.
    """
    return _beit("large", channels=1024, drop_path=0.2, learning_rate=2e-5, layer_decay=0.95, steps=STEPS[dataset])


def upernet_beit_b_ade20k() -> engine.RunConfig:
    """As MMSegmentation trains it."""
    return _beit("base", channels=768, drop_path=0.1, learning_rate=3e-5, layer_decay=0.9, steps=STEPS["ade20k"])


def _beit(
    size: str, *, channels: int, drop_path: float, learning_rate: float, layer_decay: float, steps: int
) -> engine.RunConfig:
    config = _run(
        models.UPerNetConfig(
            backbone=f"beit_{size}_patch16_224.in22k_ft_in22k",
            pretrained=True,
            backbone_drop_path=drop_path,
            image_size=(640, 640),
            channels=channels,
        ),
        side=640,
        steps=steps,
        optimizer=engine.OptimizerConfig(
            learning_rate=learning_rate,
            backbone_multiplier=1.0,
            layer_decay=layer_decay,
            weight_decay=0.05,
            poly_power=1.0,
            warmup=1_500 / steps,
            warmup_start=1e-6,
        ),
    )
    config.windows = inference.Windows(size=(640, 640), stride=(426, 426), smaller_images="shrink")
    return config


def upernet_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        engine.RunConfig(
            recipe="",
            model=models.upernet_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.SemanticCriterionConfig(),
            merge=SemanticMergeConfig(),
        )
    )
    config.optimizer.gradient_clip = 1.0
    config.augment.crop = config.evaluation_size = (192, 192)
    return config


def _run(model: models.UPerNetConfig, side: int, steps: int, optimizer: engine.OptimizerConfig) -> engine.RunConfig:
    return engine.RunConfig(
        recipe="",
        model=model,
        augment=mmseg_augmentation(side, side),
        criterion=losses.SemanticCriterionConfig(mean_over="all"),
        merge=SemanticMergeConfig(),
        optimizer=optimizer,
        training=engine.TrainingConfig(steps=steps, effective_batch=16, precision="fp32"),
        evaluation_size=FitConfig(short_side=side, long_side=4 * side, multiple=1),
    )


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"upernet_swin_b_{dataset}": partial(upernet_swin, "b", dataset) for dataset in STEPS},
    **{f"upernet_swin_{size}_ade20k": partial(upernet_swin, size, "ade20k") for size in ("t", "s", "l")},
    **{f"upernet_beit_l_{dataset}": partial(upernet_beit_l, dataset) for dataset in STEPS},
    "upernet_beit_b_ade20k": upernet_beit_b_ade20k,
}
ALL_RECIPES.register_all(RECIPES | {"upernet_nano": upernet_nano})
