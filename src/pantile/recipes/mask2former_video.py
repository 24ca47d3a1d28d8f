"""Mask2Former for video (Cheng et al. 2021, arXiv:2112.10764): clips of two frames, and a nano size.

The original starts from weights trained on COCO instances: ``--init`` names a run of
``mask2former_<backbone>_coco_instance`` or a converted checkpoint. ``effective_batch`` counts clips.

VSPW is RankSeg's (He et al., ECCV 2022): one segment per class, no instances. Its configurations on VSPW end at Swin-B;
those of Swin-L, which the paper has, are put together from Swin-B's there and Swin-L's on YouTube-VIS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pantile import engine, models
from pantile.data import AugmentConfig, FitConfig
from pantile.data.clip_config import ClipConfig
from pantile.inference.clip_windows import ClipWindows
from pantile.merge import QueryVotesConfig
from pantile.merge import query_config as presets
from pantile.recipes.mask2former import BACKBONES, DROP_PATH_SWIN, mask2former_coco, mask2former_nano
from pantile.recipes.rankseg import mask2former_rankseg
from pantile.recipes.registry import ALL_RECIPES

#: of a video data set's year: steps, and the one at which the learning rate falls
LENGTHS = {2019: (6_000, 4_000), 2021: (8_000, 5_500)}


def mask2former_youtube_vis(year: int, backbone: str = "r50") -> engine.RunConfig:
    """YouTube-VIS: 16 clips a step, the shorter side 360 or 480."""
    config = mask2former_coco(backbone, "instance")
    config.model = _video_model(backbone)
    config.augment = clips_of_short_sides((360, 480))
    config.evaluation_size = FitConfig(short_side=480 if backbone.startswith("swin") else 360, long_side=1333)
    config.clips = ClipWindows(frames=36, overlap=6)  # a whole video of 2019, as in the original
    config.merge = presets.QueryMergeConfig(instances=10)
    steps, falls = LENGTHS[year]
    config.training.steps, config.optimizer.milestones = steps, (falls / steps,)
    return config


def mask2former_vspw(backbone: str = "swin_l") -> engine.RunConfig:
    """VSPW: classes of pixels, the shorter side 480; in evaluation pieces of 20 frames."""
    config = mask2former_youtube_vis(2019, backbone)
    config.augment = clips_of_short_sides((480,))
    config.evaluation_size = FitConfig(short_side=480, long_side=1333)
    config.clips = ClipWindows(frames=20, overlap=0)
    config.merge = QueryVotesConfig()
    return config


def mask2former_vspw_rankseg() -> engine.RunConfig:
    """All 124 classes, sorted once for a clip."""
    config = mask2former_rankseg(mask2former_vspw)
    config.techniques.rankseg.learning_rate_factor = 5.0
    return config


def mask2former_youtube_vis_rankseg() -> engine.RunConfig:
    """All 40 classes, sorted once for a clip."""
    config = mask2former_rankseg(partial(mask2former_youtube_vis, 2019, "swin_l"))
    config.techniques.rankseg.learning_rate_factor = 1.0
    return config


def mask2former_video_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set of videos works.

    Positions in time depend on the length of a clip, so it is the same in training and in evaluation.
    """
    config = mask2former_nano()
    config.model = models.mask2former_video_nano_config()
    config.augment = replace(config.augment, clip=ClipConfig(frames=3, reach=4))
    config.training.effective_batch = 2
    config.clips = ClipWindows(frames=3, overlap=1)
    return config


def clips_of_short_sides(sides: tuple[int, ...]) -> AugmentConfig:
    """Two frames, at most 20 apart, whole and of one size and flip; padded with those beside them."""
    return AugmentConfig(
        crop=(1344, 1344),  # holds every frame
        short_side=sides,
        max_side=1333,
        pad_position="bottom_right",
        pad="batch",
        ssd_jitter=False,
        copy_paste=0.0,
        redraws=0,
        clip=ClipConfig(frames=2, reach=20),
    )


def _video_model(backbone: str) -> models.VideoMask2FormerConfig:
    return models.VideoMask2FormerConfig(
        backbone=BACKBONES[backbone],
        pretrained=True,
        backbone_drop_path=DROP_PATH_SWIN if backbone.startswith("swin") else 0.0,
        num_queries=200 if backbone == "swin_l" else 100,
    )


RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **{
        f"mask2former_{name}_youtube_vis_{year}": partial(mask2former_youtube_vis, year, name)
        for year in LENGTHS
        for name in ("r50", "r101", "swin_t", "swin_s", "swin_b", "swin_l")
    },
    "mask2former_swin_l_youtube_vis_2019_rankseg": mask2former_youtube_vis_rankseg,
    "mask2former_swin_l_vspw": mask2former_vspw,
    "mask2former_swin_l_vspw_rankseg": mask2former_vspw_rankseg,
    "mask2former_video_nano": mask2former_video_nano,
}
ALL_RECIPES.register_all(RECIPES)
