"""VidEoMT (Norouzi et al., CVPR 2026): the rows of its model zoo with DINOv2, but for OVIS and YouTube-VIS 2022, and a
nano size.

The original starts from an EoMT that was trained on the same data frame by frame: ``--init``. It trains on COCO's
images as pseudo videos, too, and on YouTube-VIS on crops of the scaled clips; here clips are whole frames of the videos
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pantile import engine, losses, models
from pantile.data import AugmentConfig, FitConfig
from pantile.data.clip_config import ClipConfig
from pantile.inference.clip_windows import ClipWindows
from pantile.merge import QueryMergeConfig, QueryVotesConfig
from pantile.recipes.eomt import SIZES, TIMM_SIZES, eomt_nano
from pantile.recipes.registry import ALL_RECIPES


def videomt_youtube_vis(year: int, size: str = "l") -> engine.RunConfig:
    """YouTube-VIS: 8 clips of 5 frames a step."""
    steps = 160_000 if year == 2021 else 60_000 if size == "l" else 40_000
    sides = (320, 352, 392, 416, 448, 480, 512, 544, 576, 608, 640)
    config = _run(size, steps, image_size=640, sides=sides, max_side=768)
    config.evaluation_size = FitConfig(short_side=448, long_side=1333)
    config.clips = ClipWindows(frames=36, overlap=0)  # a whole video of 2019, of which the ten best things are taken
    config.merge = QueryMergeConfig(instances=10)
    return config


def videomt_vipseg() -> engine.RunConfig:
    """VIPSeg: frames of 720 rows, one by one."""
    return _run("l", 40_000, image_size=1280, sides=tuple(range(480, 801, 32)), max_side=1333)


def videomt_vspw() -> engine.RunConfig:
    """VSPW: classes of pixels."""
    config = videomt_vipseg()
    config.merge = QueryVotesConfig()
    return config


def videomt_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set of videos works.

    Unlike in the published rows a query is matched with a thing of the whole clip: with few steps, frames that are
    matched one by one do not agree on queries.
    """
    config = eomt_nano()
    config.model = models.videomt_nano_config()
    config.augment = replace(config.augment, clip=ClipConfig(frames=3, reach=4))
    config.training.effective_batch = 2
    config.clips = ClipWindows(frames=4, overlap=0)
    return config


def _run(size: str, steps: int, image_size: int, sides: tuple[int, ...], max_side: int) -> engine.RunConfig:
    return engine.RunConfig(
        recipe="",
        model=models.VidEoMTConfig(
            **SIZES[size],
            backbone=f"vit_{TIMM_SIZES[size]}_patch14_reg4_dinov2.lvd142m",
            pretrained=True,
            image_size=(image_size, image_size),
        ),
        augment=AugmentConfig(
            crop=(1344, 1344),  # holds every frame
            short_side=sides,
            max_side=max_side,
            pad_position="bottom_right",
            pad="batch",
            ssd_jitter=False,
            copy_paste=0.0,
            redraws=0,
            clip=ClipConfig(frames=5, reach=2),
        ),
        criterion=losses.SetCriterionConfig(clips="frames"),
        merge=QueryMergeConfig(),
        optimizer=engine.OptimizerConfig(
            learning_rate=1e-4,
            backbone_multiplier=1.0,
            layer_decay=0.6,
            weight_decay=0.05,
            decay_biases=True,
            poly_power=0.9,
            poly_after_warmup=True,
            warmup=500 / steps,
            warmup_start=0.0,
            backbone_warmup=1000 / steps,
            gradient_clip=0.01,
        ),
        training=engine.TrainingConfig(steps=steps, effective_batch=8),
        evaluation_size=FitConfig(short_side=720, long_side=1333),
        clips=ClipWindows(frames=1, overlap=0),
    )


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{f"videomt_{size}_youtube_vis_2019": partial(videomt_youtube_vis, 2019, size) for size in "sbl"},
    "videomt_l_youtube_vis_2021": partial(videomt_youtube_vis, 2021, "l"),
    "videomt_l_vipseg": videomt_vipseg,
    "videomt_l_vspw": videomt_vspw,
    "videomt_nano": videomt_nano,
}
ALL_RECIPES.register_all(RECIPES)
