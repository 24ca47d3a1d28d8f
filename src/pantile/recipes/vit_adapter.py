"""ViT-Adapter-L under Mask2Former (Chen et al., ICLR 2023, arXiv:2205.08534): its two rows on ADE20K, and a nano size.

One thing of the original is not in a configuration: at 896 its run starts from the same model trained on COCO-Stuff
164k (``pantile train --init``). Its evaluation, and so this one, averages what queries vote for over windows.
"""

from __future__ import annotations

from pantile import engine, inference, losses, merge, models
from pantile.data import FitConfig
from pantile.recipes.mask2former import mask2former_nano
from pantile.recipes.registry import ALL_RECIPES
from pantile.recipes.segmenter import mmseg_augmentation


@ALL_RECIPES.register("vit_adapter_l_ade20k_semantic")
def vit_adapter_l_ade20k_semantic() -> engine.RunConfig:
    """Crops of 896."""
    return _ade20k(side=896, long_side=3584, stride=512, steps=80_000, num_queries=200)


@ALL_RECIPES.register("vit_adapter_l_640_ade20k_semantic")
def vit_adapter_l_640_ade20k_semantic() -> engine.RunConfig:
    """Crops of 640."""
    return _ade20k(side=640, long_side=2048, stride=426, steps=160_000, num_queries=100)


@ALL_RECIPES.register("vit_adapter_nano")
def vit_adapter_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = mask2former_nano()
    config.model = models.vit_adapter_nano_config()
    config.augment.crop = config.evaluation_size = (192, 192)
    return config


def _ade20k(side: int, long_side: int, stride: int, steps: int, num_queries: int) -> engine.RunConfig:
    return engine.RunConfig(
        recipe="",
        model=models.ViTAdapterConfig(pretrained=True, image_size=(side, side), num_queries=num_queries),
        augment=mmseg_augmentation(side, side),
        criterion=losses.SetCriterionConfig(),
        merge=merge.QueryVotesConfig(),
        optimizer=engine.OptimizerConfig(
            learning_rate=2e-5,
            backbone_multiplier=1.0,
            layer_decay=0.9,
            weight_decay=0.05,
            poly_power=1.0,
            warmup=1_500 / steps,
            warmup_start=1e-6,
        ),
        training=engine.TrainingConfig(steps=steps, effective_batch=16, precision="fp32"),
        evaluation_size=FitConfig(short_side=side, long_side=long_side, multiple=32),
        windows=inference.Windows(size=(side, side), stride=(stride, stride), smaller_images="shrink", average="votes"),
    )
