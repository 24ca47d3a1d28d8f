"""ReMaX (Sun et al., NeurIPS 2023): kMaX-DeepLab with ReMask and ReClass, all sizes and data sets of the paper.

The authors' code was never published. They worked in deeplab2 (section 4.2), so data, optimiser and merge are
deeplab2's here, where ``recipes.kmax`` follows the PyTorch port; networks and losses are the port's in both. At
inference the model is that of kMaX-DeepLab.

What differs from ``recipes.kmax``, by the paper:

- both techniques, and a sigmoid in the mask-ID loss;
- a 12 times (Cityscapes 10 times) higher learning rate, in steps at 85 and 95 % instead of poly; less weight decay:
  0.005 up to 100 k steps and 0.02 beyond (of Cityscapes the paper does not say: 0.02);
- scales of 0.3 to 1.7 on COCO;
- one transformer layer per stride in T, S and M, one block per stride in the pixel decoder of T and S.

And by deeplab2:

- its AutoAugment colour policy, which the paper cites, in place of SSD's jitter; on Cityscapes at a fifth;
- scales in steps of 0.1, on Cityscapes of the native size; small images lie anywhere on the canvas; no sample is drawn
  anew;
- warm-up from 0, AdamW's eps 1e-7;
- the merge decides on the padded input, takes classes at their threshold, and has area limits: on COCO 400 and 6400
  pixels at 1281; at 641 a quarter of that, as MaX-DeepLab there;
- test images of Cityscapes are padded by a row and a column, not resized.

Where networks and losses are the port's, deeplab2 differs: it reads features before their activation, has no
max-pooling and so predicts Cityscapes at stride 2, draws other initial weights, takes the semantic loss over all pixels
(on Cityscapes the hardest fifth, small things three times), and pastes crowd, too.

The port's reading of data and merge: ``--set augment.ssd_jitter=true augment.policy_magnitude=0 augment.scale_step=0
augment.pad_position=bottom_right augment.redraws=10 augment.min_labelled_pixels=65536 merge.resize_order=logits_first
merge.strict=true merge.thing_area_limit=0 merge.stuff_area_limit=0``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from pantile import engine, techniques
from pantile.data import FitConfig
from pantile.merge import MaskMergeConfig
from pantile.merge import mask_config as presets
from pantile.recipes.kmax import BACKBONES, kmax_ade20k, kmax_cityscapes, kmax_coco, kmax_nano
from pantile.recipes.registry import ALL_RECIPES


def add_remax(
    config: engine.RunConfig, learning_rate: float, weight_decay: float, semantic_weight: float = 0.5
) -> engine.RunConfig:
    """Turns a kMaX run into a ReMaX run.

    Four of six layers are relaxed; with one layer per stride two of three, those at strides 32 and 16.
    """
    layers = sum(config.model.transformer_layers)
    config.criterion.mask_activation = "sigmoid"
    config.techniques = techniques.TechniquesConfig(
        remask=techniques.ReMaskConfig(stages=4 if layers == 6 else 2, weight=semantic_weight),
        reclass=techniques.ReClassConfig(eta=0.1),
    )
    config.optimizer = engine.OptimizerConfig(
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule="step",
        milestones=(0.85, 0.95),
        warmup=config.optimizer.warmup,
        warmup_start=0.0,
        eps=1e-7,
    )
    return config


def follow_deeplab2(
    config: engine.RunConfig, merge: MaskMergeConfig, policy_magnitude: float = 1.0
) -> engine.RunConfig:
    """Data and merge of deeplab2 in place of the PyTorch port's."""
    config.augment = replace(
        config.augment,
        ssd_jitter=False,
        policy_magnitude=policy_magnitude,
        scale_step=0.1,
        pad_position="random",
        redraws=0,
        min_labelled_pixels=1,
    )
    config.merge = merge
    return config


def remax_coco(backbone: str, size: int, steps: int, efficient: bool) -> engine.RunConfig:
    """COCO panoptic: T, S and M at 641 pixels, B at 1281."""
    config = kmax_coco(backbone)
    if efficient:
        _efficient_decoder(config)
    config.augment.crop = config.evaluation_size = (size, size)
    config.augment.scale_range = (0.3, 1.7)
    config.training.steps = steps
    config.optimizer.warmup = 5_000 / steps
    merge = presets.coco("tensorflow")
    if size == 641:
        merge = replace(merge, thing_area_limit=100, stuff_area_limit=1600)
    config = follow_deeplab2(config, merge)
    # 0.005 for 50 k and 100 k steps, 0.02 for longer schedules (section 4.2).
    return add_remax(config, learning_rate=6e-3, weight_decay=0.02 if steps > 100_000 else 0.005)


def remax_cityscapes(backbone: str) -> engine.RunConfig:
    """Cityscapes at 1025x2049, 60 k steps of 32 images."""
    config = kmax_cityscapes("r50")
    config.model.backbone = BACKBONES[backbone]
    if backbone.startswith("mnv3"):
        _efficient_decoder(config)
    config = follow_deeplab2(config, presets.cityscapes("tensorflow"), policy_magnitude=0.2)
    config.augment.scale_relative_to = "native"
    config.evaluation_size = FitConfig(short_side=1024, long_side=2048, remainder=1)
    return add_remax(config, learning_rate=3e-3, weight_decay=0.02, semantic_weight=1.0)


def remax_ade20k(size: Literal[641, 1281]) -> engine.RunConfig:
    """ADE20K, ResNet-50, 100 k steps."""
    config = follow_deeplab2(kmax_ade20k("r50", size), presets.ade20k("tensorflow"))
    return add_remax(config, learning_rate=6e-3, weight_decay=0.005)


def remax_nano() -> engine.RunConfig:
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


def _efficient_decoder(config: engine.RunConfig) -> None:
    """The decoders of Table 13 with one layer per stride; T and S also have one block per stride, M five at 16."""
    blocks = config.model.decoder_blocks
    light = "mobilenetv3" in config.model.backbone
    config.model.decoder_blocks = (1, 1 if light else 5, *blocks[2:])
    config.model.transformer_layers = (1, 1, 1)


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
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
ALL_RECIPES.register_all(RECIPES)
