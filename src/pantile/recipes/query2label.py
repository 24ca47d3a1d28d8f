"""Query2Label (Liu et al., arXiv:2107.10834): what classes an image shows, for ``techniques.rankseg.ranking_from``.

The paper that RankSeg takes it from trains 80 epochs with Adam, cutout, RandAugment, an average of weights and early
stopping; no settings of RankSeg's runs were published.
"""

from __future__ import annotations

from pantile import engine, losses, merge, models
from pantile.data import AugmentConfig
from pantile.recipes.mask2former import small_run
from pantile.recipes.registry import ALL_RECIPES


@ALL_RECIPES.register("query2label_nano")
def query2label_nano() -> engine.RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        engine.RunConfig(
            recipe="",
            model=models.query2label_nano_config(),
            augment=AugmentConfig(),
            criterion=losses.PresenceCriterionConfig(),
            merge=merge.PresenceMergeConfig(),
        )
    )
    config.optimizer.gradient_clip = 1.0
    config.augment.crop = config.evaluation_size = (192, 192)
    return config
