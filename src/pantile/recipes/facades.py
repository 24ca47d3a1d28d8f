"""``facades_lite0``: Panoptic-DeepLab on EfficientNet-Lite0, for photos of house fronts and two CPU cores.

The recipe of ``weights/facades_lite0.safetensors``, whose card names the commands. What was tried on the way is in
docs/log.md. It takes any data set; its settings are made for one like facades: 200 photos of 1024 pixels, half of them
with more than 27 segments, most of these small, and classes that few photos show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pantile import engine, losses
from pantile.recipes.panoptic_deeplab import panoptic_deeplab_nano
from pantile.recipes.registry import ALL_RECIPES


def facades_lite0() -> engine.RunConfig:
    """1100 steps of four crops, about an hour of a core, made to go on from a first run (``--init``).

    The first run learns faster with ``criterion.top_k=1 optimizer.learning_rate=3e-3``. Without a network,
    ``model.backbone_weights`` names a file of the backbone's ImageNet weights.
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
        config.augment, crop=(385, 385), scale_range=(1.0, 2.0), ssd_jitter=True, repeat_threshold=1.0
    )
    config.evaluation_size = (577, 577)
    # the hardest pixels alone, once a first run has learned from all of them
    config.criterion = losses.CenterCriterionConfig(sigma=6.0, small_area=1024, top_k=0.3, center_weight=50.0)
    config.merge = replace(
        config.merge, center_threshold=0.2, nms_kernel=27, stuff_area_limit=4000, thing_area_limit=100
    )
    config.optimizer = replace(config.optimizer, learning_rate=2e-3, backbone_multiplier=0.1)
    config.training = replace(config.training, steps=1_100, validate_every=0.2, validation_images=40)
    config.training.average = engine.AverageConfig(decay=0.99)
    return config


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {"facades_lite0": facades_lite0}
ALL_RECIPES.register_all(RECIPES)
