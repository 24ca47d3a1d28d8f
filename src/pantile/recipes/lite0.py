"""Panoptic-DeepLab on EfficientNet-Lite0 from ImageNet: what learns from some hundred photos on two CPU cores.

``facades_lite0`` is the recipe of ``weights/facades_lite0.safetensors``, whose card names the commands. What was tried
on the way is in docs/log.md. Both take any data set; their settings are made for one like facades: 200 photos of 1024
pixels, half of them with more than 27 segments, most of these small, and classes that few photos show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pantile import engine, losses
from pantile.recipes.panoptic_deeplab import panoptic_deeplab_nano
from pantile.recipes.registry import ALL_RECIPES


def panoptic_deeplab_lite0() -> engine.RunConfig:
    """A first run: 1800 steps of four crops; 1350 took half an hour of a core (docs/results.md).

    Without a network, ``model.backbone_weights`` names a file of the backbone's ImageNet weights.
    """
    config = panoptic_deeplab_nano()
    config.model = replace(
        config.model,
        backbone="tf_efficientnet_lite0.in1k",
        pretrained=True,
        output_stride=32,  # 16 costs 1.7 times as much a step
        semantic_width=128,
        semantic_projections=(32, 16),
        instance_width=128,
        instance_decoder_width=64,
        instance_projections=(32, 16),
        head_width=32,
    )
    config.augment = replace(
        config.augment, crop=(385, 385), scale_range=(1.0, 2.0), ssd_jitter=True, repeat_threshold=0.4
    )
    config.evaluation_size = (577, 577)  # at the middle of the scales that the crops are cut from
    config.criterion = losses.CenterCriterionConfig(sigma=6.0, small_area=1024, top_k=1.0, center_weight=50.0)
    config.merge = replace(
        config.merge, center_threshold=0.2, nms_kernel=27, stuff_area_limit=4000, thing_area_limit=100
    )
    config.optimizer = replace(config.optimizer, learning_rate=3e-3, backbone_multiplier=0.1)
    config.training = replace(config.training, steps=1_800, validate_every=0.2, validation_images=40)
    config.training.average = engine.AverageConfig(decay=0.99)
    return config


def facades_lite0() -> engine.RunConfig:
    """1100 steps that go on from a first run (``--init``), about an hour of a core: the hardest pixels alone, once the
    network has learned from all of them, and rare classes more often."""
    config = panoptic_deeplab_lite0()
    config.augment = replace(config.augment, repeat_threshold=1.0)
    config.criterion = replace(config.criterion, top_k=0.3)
    config.optimizer = replace(config.optimizer, learning_rate=2e-3)
    config.training.steps = 1_100
    return config


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    "panoptic_deeplab_lite0": panoptic_deeplab_lite0,
    "facades_lite0": facades_lite0,
}
ALL_RECIPES.register_all(RECIPES)
