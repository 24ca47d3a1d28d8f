"""EoMT (Kerssies et al., CVPR 2025, arXiv:2503.19108): the rows of its model zoo on COCO, ADE20K and Cityscapes, with
DINOv2 and with DINOv3, and a nano size. EoMT-7B is left out.

A run is six parts, in which the blocks' masks are annealed one after the other; the last part is trained without masks.

Images are fitted into a square and padded with black, before the normalisation. Semantic recipes see windows of the
image instead, its shorter side being theirs.

The original ran in fp16 with loss scaling; here it is bf16, which needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from pantile import engine, inference, losses, merge, models
from pantile.data import AugmentConfig, FitConfig
from pantile.recipes.mask2former import small_run
from pantile.recipes.registry import ALL_RECIPES

#: starts of the annealing of each block, and its length, in a run of six times that length
PART = 14_782
STARTS = {
    **dict.fromkeys("sb", (14_782, 36_955, 59_128)),
    "l": (14_782, 29_564, 44_346, 59_128),
    "g": (14_782, 25_869, 36_955, 48_042, 59_128),
}
SIZES = {  # fields of the model
    "s": {"channels": 384, "layers": 12, "num_heads": 6, "ffn_channels": 1536, "query_layers": 3},
    "b": {"channels": 768, "layers": 12, "num_heads": 12, "ffn_channels": 3072, "query_layers": 3},
    "l": {"channels": 1024, "layers": 24, "num_heads": 16, "ffn_channels": 4096, "query_layers": 4},
    "g": {"channels": 1536, "layers": 40, "num_heads": 24, "ffn_channels": 4096, "gated": True, "query_layers": 5},
}
TIMM_SIZES = {"s": "small", "b": "base", "l": "large", "g": "giant"}
COCO_STEPS, ADE20K_STEPS, CITYSCAPES_STEPS = 6 * PART, 6 * 6_520, 6 * 3_317

Dino = Literal["dinov2", "dinov3"]


def eomt_coco(
    size: str = "l", side: int = 640, task: Literal["panoptic", "instance"] = "panoptic", dino: Dino = "dinov2"
) -> engine.RunConfig:
    """COCO: 12 epochs, S and B 24."""
    return _run(
        size,
        dino,
        steps=COCO_STEPS * (2 if size in "sb" else 1),
        side=side,
        augment=replace(jittered(side, smallest=0.1), ssd_jitter=False),
    )


def eomt_ade20k(size: str = "l", side: int = 640) -> engine.RunConfig:
    """ADE20K panoptic: 31 epochs, from the weights on COCO, which ``--init`` gives."""
    return _run(size, "dinov2", steps=ADE20K_STEPS, side=side, augment=jittered(side, smallest=0.1))


def eomt_ade20k_semantic(dino: Dino = "dinov2") -> engine.RunConfig:
    """ADE20K semantic: 31 epochs at 512."""
    return _semantic(_run("l", dino, ADE20K_STEPS, side=512, augment=jittered(512, smallest=0.5)), 512)


def eomt_cityscapes_semantic() -> engine.RunConfig:
    """Cityscapes semantic: 107 epochs at 1024."""
    return _semantic(_run("l", "dinov2", CITYSCAPES_STEPS, side=1024, augment=jittered(1024, smallest=0.5)), 1024)


def eomt_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        engine.RunConfig(
            recipe="",
            model=models.eomt_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.SetCriterionConfig(points=1024),
            merge=merge.QueryMergeConfig(object_threshold=0.5, overlap_threshold=0.5),
        )
    )
    config.augment.crop = config.evaluation_size = (192, 192)
    return config


def jittered(side: int, smallest: float) -> AugmentConfig:
    """Scales from ``smallest`` to 2 of what fits the square, colour jitter; black beside the image."""
    return AugmentConfig(
        crop=(side, side),
        scale_range=(smallest, 2.0),
        scale_relative_to="fit",
        pad_position="bottom_right",
        pad_value=0,
        ssd_jitter=True,
        copy_paste=0.0,
    )


def _run(size: str, dino: Dino, steps: int, side: int, augment: AugmentConfig) -> engine.RunConfig:
    rotary = dino == "dinov3"
    heads, backbone = (2000, 3000) if rotary else (500, 1000)
    annealing = [(start / (6 * PART), (start + PART) / (6 * PART)) for start in STARTS[size]]
    if rotary:  # the first block's at once
        annealing[0] = (0.0, 3000 / steps)
    kind = "patch16_dinov3_qkvb.lvd1689m" if rotary else "patch14_reg4_dinov2.lvd142m"
    return engine.RunConfig(
        recipe="",
        model=models.EoMTConfig(
            **SIZES[size],
            backbone=f"vit_{TIMM_SIZES[size]}_{kind}",
            pretrained=True,
            image_size=(side, side),
            positions="rotary" if rotary else "learned",
            mask_annealing=tuple(annealing),
            slow_query_layers=not rotary,
        ),
        augment=augment,
        criterion=losses.SetCriterionConfig(),
        merge=merge.QueryMergeConfig(),
        optimizer=engine.OptimizerConfig(
            learning_rate=2e-4 if rotary else 1e-4,
            backbone_multiplier=1.0,
            layer_decay=0.8,
            weight_decay=0.05,
            decay_biases=True,
            poly_power=0.9,
            poly_after_warmup=True,
            warmup=heads / steps,
            warmup_start=0.0,
            backbone_warmup=backbone / steps,
            gradient_clip=0.01,
        ),
        training=engine.TrainingConfig(steps=steps, effective_batch=16),
        evaluation_size=(side, side),
        pad_value=0,
    )


def _semantic(config: engine.RunConfig, side: int) -> engine.RunConfig:
    config.model.num_queries = 100
    config.merge = merge.QueryVotesConfig()
    config.evaluation_size = FitConfig(short_side=side, multiple=1)
    config.windows = inference.Windows(size=(side, side), spread=True, average="votes")
    config.pad_value = None
    return config


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"eomt_{size}_coco": partial(eomt_coco, size) for size in "sblg"},
    **{f"eomt_{size}_coco_1280": partial(eomt_coco, size, 1280) for size in "lg"},
    "eomt_l_coco_instance": partial(eomt_coco, "l", task="instance"),
    "eomt_l_coco_instance_1280": partial(eomt_coco, "l", 1280, "instance"),
    **{f"eomt_{size}_ade20k": partial(eomt_ade20k, size) for size in "lg"},
    **{f"eomt_{size}_ade20k_1280": partial(eomt_ade20k, size, 1280) for size in "lg"},
    "eomt_l_ade20k_semantic": eomt_ade20k_semantic,
    "eomt_l_cityscapes_semantic": eomt_cityscapes_semantic,
    **{f"eomt_dinov3_{size}_coco": partial(eomt_coco, size, dino="dinov3") for size in "sbl"},
    "eomt_dinov3_l_coco_1280": partial(eomt_coco, "l", 1280, dino="dinov3"),
    "eomt_dinov3_l_coco_instance": partial(eomt_coco, "l", task="instance", dino="dinov3"),
    "eomt_dinov3_l_coco_instance_1280": partial(eomt_coco, "l", 1280, "instance", "dinov3"),
    "eomt_dinov3_l_ade20k_semantic": partial(eomt_ade20k_semantic, "dinov3"),
    "eomt_nano": eomt_nano,
}
ALL_RECIPES.register_all(RECIPES)
