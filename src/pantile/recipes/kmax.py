"""kMaX-DeepLab (Yu et al., ECCV 2022): the rows of its tables on COCO, Cityscapes and ADE20K, and a nano size.

Where the two implementations, deeplab2 in TensorFlow and its port to PyTorch, differ, these are the port's settings,
whose checkpoints load and whose results the tables print. It ran in fp16; here it is bf16, which scales no loss.

deeplab2's reading of the same data is a matter of settings, on COCO: ``--set augment.pad_position=random
augment.ssd_jitter=false augment.policy_magnitude=1 augment.scale_range=[0.3,1.7] augment.scale_step=0.1
augment.redraws=0 augment.min_labelled_pixels=1 merge.resize_order=ids_last merge.strict=false
merge.thing_area_limit=400 merge.stuff_area_limit=6400``. ``recipes.remax`` takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from pantile import engine, losses, models
from pantile.data import AugmentConfig
from pantile.merge import mask_config as presets
from pantile.recipes.registry import ALL_RECIPES

#: timm names with the weights nearest to the original's: torchvision's first ResNet-50 (ImageNet-1k; what timm itself
#: takes was trained longer and otherwise), MobileNetV3 on ImageNet-1k at 224 pixels (deeplab2's own are for TensorFlow
#: only), and for ConvNeXt ImageNet-22k, fine-tuned on 1k at 384 pixels, as in the paper.
BACKBONES = {
    "r50": "resnet50.tv_in1k",
    "mnv3_small": "mobilenetv3_small_100.lamb_in1k",
    "mnv3_large": "mobilenetv3_large_100.ra_in1k",
    "convnext_tiny": "convnext_tiny.fb_in22k_ft_in1k_384",
    "convnext_small": "convnext_small.fb_in22k_ft_in1k_384",
    "convnext_base": "convnext_base.fb_in22k_ft_in1k_384",
    "convnext_large": "convnext_large.fb_in22k_ft_in1k_384",
}

DROP_PATH_COCO = {"convnext_tiny": 0.3, "convnext_small": 0.4, "convnext_base": 0.5, "convnext_large": 0.6}
DROP_PATH_CITYSCAPES = {"convnext_tiny": 0.2, "convnext_small": 0.3, "convnext_base": 0.4, "convnext_large": 0.6}
DROP_PATH_ADE20K = {"convnext_large": 0.7}


def kmax_coco(backbone: str = "r50") -> engine.RunConfig:
    """COCO panoptic at 1281x1281: 150 k steps of 64 images."""
    return engine.RunConfig(
        recipe="",
        model=models.KMaXConfig(
            backbone=BACKBONES[backbone], pretrained=True, backbone_drop_path=DROP_PATH_COCO.get(backbone, 0.0)
        ),
        augment=AugmentConfig(
            crop=(1281, 1281),
            scale_range=(0.2, 2.0),
            ssd_jitter=True,
            pad_position="bottom_right",
            copy_paste=1.0,
            min_labelled_pixels=4096 * 16,
        ),
        criterion=losses.KMaXCriterionConfig(),
        merge=presets.coco(),
        optimizer=engine.OptimizerConfig(learning_rate=5e-4, weight_decay=0.05, warmup=5_000 / 150_000),
        training=engine.TrainingConfig(steps=150_000, effective_batch=64),
        evaluation_size=(1281, 1281),
    )


def kmax_cityscapes(backbone: str = "r50") -> engine.RunConfig:
    """Cityscapes at 1025x2049: 60 k steps of 32 images."""
    config = kmax_coco(backbone)
    config.model.backbone_drop_path = DROP_PATH_CITYSCAPES.get(backbone, 0.0)
    config.model.num_queries = 256
    config.model.decoder_blocks = (*config.model.decoder_blocks, 1)
    config.model.auxiliary_head = "plain"
    config.augment.crop, config.augment.scale_range = (1025, 2049), (0.5, 2.0)
    config.criterion = losses.KMaXCriterionConfig(instance_sampling_temperature=0.6, semantic_pixels="plain")
    config.merge = presets.cityscapes()
    config.optimizer = engine.OptimizerConfig(learning_rate=3e-4, weight_decay=0.05, warmup=5_000 / 60_000)
    config.training = engine.TrainingConfig(steps=60_000, effective_batch=32)
    config.evaluation_size = (1025, 2049)
    return config


def kmax_ade20k(backbone: str = "r50", size: Literal[641, 1281] = 1281) -> engine.RunConfig:
    """ADE20K: 100 k steps of 64 images."""
    config = kmax_coco(backbone)
    config.model.backbone_drop_path = DROP_PATH_ADE20K.get(backbone, 0.0)
    config.model.drop_path = 0.0
    config.augment.crop = (size, size)
    config.augment.scale_range = (0.5, 2.0)
    config.criterion.instance_samples = 1024 if size == 641 else 4096
    config.merge = presets.ade20k()
    config.optimizer.warmup = 5_000 / 100_000
    config.training.steps = 100_000
    config.evaluation_size = (size, size)
    return config


def kmax_nano() -> engine.RunConfig:
    """Small enough for two CPU cores: learns the generated scenes in minutes. Any data set works."""
    return engine.RunConfig(
        recipe="",
        model=models.kmax_nano_config(),
        augment=AugmentConfig(
            crop=(193, 193), scale_range=(0.7, 1.4), ssd_jitter=True, copy_paste=0.0, pad_position="bottom_right"
        ),
        merge=presets.ade20k(),
        criterion=losses.KMaXCriterionConfig(instance_samples=512, semantic_samples=512),
        optimizer=engine.OptimizerConfig(
            learning_rate=3e-3, backbone_multiplier=1.0, weight_decay=0.02, warmup=0.05, warmup_start=0.01
        ),
        training=engine.TrainingConfig(
            steps=1_200, effective_batch=4, workers=1, validate_every=0.25, validation_images=50, checkpoint_minutes=2.0
        ),
        evaluation_size=(193, 193),
    )


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{
        f"kmax_{name}_coco": partial(kmax_coco, name)
        for name in ("r50", "convnext_tiny", "convnext_small", "convnext_base", "convnext_large")
    },
    **{
        f"kmax_{name}_cityscapes": partial(kmax_cityscapes, name)
        for name in ("r50", "convnext_tiny", "convnext_small", "convnext_base", "convnext_large")
    },
    **{
        f"kmax_{name}_ade20k_{size}": partial(kmax_ade20k, name, size)
        for name in ("r50", "convnext_large")
        for size in (641, 1281)
    },
    "kmax_nano": kmax_nano,
}
ALL_RECIPES.register_all(RECIPES)
