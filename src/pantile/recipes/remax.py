"""ReMaX (Sun et al., NeurIPS 2023): kMaX-DeepLab with ReMask and ReClass, all sizes and data sets of the paper.

What changes against kMaX-DeepLab: sigmoid in the mask-ID loss, a 12 times higher learning rate in steps instead of
poly, less weight decay, and the two techniques. At inference the model is the same.
"""

from functools import partial
from typing import Literal

from pantile.engine.config import OptimizerConfig, RunConfig
from pantile.recipes.kmax import BACKBONES, kmax_ade20k, kmax_cityscapes, kmax_coco, kmax_nano
from pantile.recipes.registry import RECIPES
from pantile.techniques import ReClassConfig, ReMaskConfig, TechniquesConfig


def add_remax(config: RunConfig, learning_rate: float, weight_decay: float, semantic_weight: float = 0.5) -> RunConfig:
    """Turns a kMaX run into a ReMaX run.

    Four of six layers are relaxed; with one layer per stride two of three, those at strides 32 and 16.
    """
    layers = sum(config.model.transformer_layers)
    config.criterion.mask_activation = "sigmoid"
    config.techniques = TechniquesConfig(
        remask=ReMaskConfig(stages=4 if layers == 6 else 2, weight=semantic_weight),
        reclass=ReClassConfig(eta=0.1),
    )
    config.optimizer = OptimizerConfig(
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule="step",
        milestones=(0.85, 0.95),
        warmup=config.optimizer.warmup,
    )
    return config


def remax_coco(backbone: str, size: int, steps: int, efficient: bool) -> RunConfig:
    """COCO panoptic. Published PQ: T 40.4, S 44.6, M 49.1 (641 pixels), B 54.2 (1281 pixels, 200 k steps)."""
    config = kmax_coco(backbone)
    if efficient:
        _efficient_decoder(config)
    config.augment.crop = config.evaluation_size = (size, size)
    config.augment.scale_range = (0.3, 1.7)
    config.training.steps = steps
    config.optimizer.warmup = 5_000 / steps
    # 0.005 for 50 k and 100 k steps, 0.02 for longer schedules (section 4.2).
    return add_remax(config, learning_rate=6e-3, weight_decay=0.02 if steps > 100_000 else 0.005)


def remax_cityscapes(backbone: str) -> RunConfig:
    """Cityscapes. Published PQ: R50 65.4, MobileNetV3-L 62.5, MobileNetV3-S 57.7."""
    config = kmax_cityscapes("r50")
    config.model.backbone = BACKBONES[backbone]
    if backbone.startswith("mnv3"):
        _efficient_decoder(config)
    return add_remax(config, learning_rate=3e-3, weight_decay=0.02, semantic_weight=1.0)


def remax_ade20k(size: Literal[641, 1281]) -> RunConfig:
    """ADE20K, ResNet-50, 100 k steps. Published PQ: 41.9 at 641, 43.4 at 1281."""
    return add_remax(kmax_ade20k("r50", size), learning_rate=6e-3, weight_decay=0.005)


def remax_nano() -> RunConfig:
    """kmax_nano with both techniques; learning rate, schedule and weight decay stay those of kmax_nano.

    Softmax in place of the paper's sigmoid: the sigmoid loss spends the first thousands of steps on switching masks
    off, longer than a nano run lasts (docs/log.md).
    """
    config = kmax_nano()
    optimizer = config.optimizer
    config = add_remax(config, learning_rate=optimizer.learning_rate, weight_decay=optimizer.weight_decay)
    config.optimizer = optimizer
    config.techniques.remask.channels = 64
    config.criterion.mask_activation = "softmax"
    config.techniques.remask.activation = config.techniques.reclass.activation = "softmax"
    return config


def _efficient_decoder(config: RunConfig) -> None:
    """The decoders of Table 13 with one layer per stride; T and S also have one block per stride, M five at 16."""
    blocks = config.model.decoder_blocks
    light = "mobilenetv3" in config.model.backbone
    config.model.decoder_blocks = (1, 1 if light else 5, *blocks[2:])
    config.model.transformer_layers = (1, 1, 1)


RECIPES.register_all(
    {
        "remax_t_coco": partial(remax_coco, "mnv3_small", 641, 150_000, efficient=True),
        "remax_s_coco": partial(remax_coco, "mnv3_large", 641, 150_000, efficient=True),
        "remax_m_coco": partial(remax_coco, "r50", 641, 150_000, efficient=True),
        "remax_b_coco": partial(remax_coco, "r50", 1281, 200_000, efficient=False),
        "remax_b_coco_50k": partial(remax_coco, "r50", 1281, 50_000, efficient=False),
        "remax_convnext_tiny_coco": partial(remax_coco, "convnext_tiny", 1281, 150_000, efficient=False),
        "remax_convnext_small_coco": partial(remax_coco, "convnext_small", 1281, 150_000, efficient=False),
        "remax_r50_cityscapes": partial(remax_cityscapes, "r50"),
        "remax_mnv3_large_cityscapes": partial(remax_cityscapes, "mnv3_large"),
        "remax_mnv3_small_cityscapes": partial(remax_cityscapes, "mnv3_small"),
        "remax_r50_ade20k_641": partial(remax_ade20k, 641),
        "remax_r50_ade20k_1281": partial(remax_ade20k, 1281),
        "remax_nano": remax_nano,
    }
)
