"""CMT-DeepLab (Yu et al., CVPR 2022): COCO and Cityscapes, and a nano size. Reconstructions, see
``models.cmt_deeplab``.

The supplement gives steps (COCO 100 k, the longest run 200 k; Cityscapes 60 k at learning rate 3e-4 and 1025 x 2049
with the pixel-wise merge) and ImageNet-22k pretraining. What it does not say is as in kMaX-DeepLab, by the same authors
three months later, in deeplab2's reading of data and merge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pantile import engine, models
from pantile.data import FitConfig
from pantile.merge import mask_config as presets
from pantile.recipes.kmax import BACKBONES, kmax_coco, kmax_nano
from pantile.recipes.registry import ALL_RECIPES
from pantile.recipes.remax import follow_deeplab2


def cmt_coco(backbone: str, recursive: bool = False, steps: int = 100_000) -> engine.RunConfig:
    """COCO panoptic, steps of 64 images."""
    name = BACKBONES.get(backbone, backbone)
    config = follow_deeplab2(kmax_coco(), presets.coco("tensorflow"))
    config.model = models.CMTDeepLabConfig(
        backbone=name,
        first_backbone=name if recursive else None,
        pretrained=backbone in BACKBONES,
        backbone_drop_path=0.0 if backbone in BACKBONES else 0.2,
    )
    config.augment.scale_range = (0.3, 1.7)
    config.training.steps = steps
    config.optimizer.warmup, config.optimizer.warmup_start, config.optimizer.eps = 5_000 / steps, 0.0, 1e-7
    return config


def cmt_cityscapes(backbone: str) -> engine.RunConfig:
    """Cityscapes, 60 k steps of 32 images."""
    config = cmt_coco(backbone, steps=60_000)
    config.augment.crop, config.augment.scale_range = (1025, 2049), (0.5, 2.0)
    config.augment.policy_magnitude, config.augment.scale_relative_to = 0.2, "native"
    config.criterion.instance_sampling_temperature = 0.6
    config.merge = replace(presets.max_deeplab(), thing_area_limit=256, stuff_area_limit=2048)
    config.optimizer.learning_rate = 3e-4
    config.training.effective_batch = 32
    config.evaluation_size = FitConfig(short_side=1024, long_side=2048, remainder=1)
    return config


def cmt_nano() -> engine.RunConfig:
    """Small enough for two CPU cores; everything but the network is kmax_nano's."""
    config = kmax_nano()
    config.model = models.cmt_nano_config()
    return config


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    "cmt_deeplab_axial_r50_coco": partial(cmt_coco, "axial_r50"),
    "cmt_deeplab_axial_r104_coco": partial(cmt_coco, "axial_r104"),
    "cmt_deeplab_axial_r104_rfn_coco": partial(cmt_coco, "axial_r104", recursive=True),
    "cmt_deeplab_axial_r104_rfn_200k_coco": partial(cmt_coco, "axial_r104", recursive=True, steps=200_000),
    "cmt_deeplab_r50_coco": partial(cmt_coco, "r50"),
    "cmt_deeplab_axial_r50_cityscapes": partial(cmt_cityscapes, "axial_r50"),
    "cmt_nano": cmt_nano,
    "cmt_deeplab_nano": cmt_nano,  # by the architecture's name
}
ALL_RECIPES.register_all(RECIPES)
