"""Query2Label, which says what classes an image shows: for ``techniques.rankseg.ranking_from``.

The paper that RankSeg takes it from trains 80 epochs with Adam, cutout, RandAugment, an average of weights and early
stopping; no settings of RankSeg's runs were published.
"""

from pantile.data import AugmentConfig
from pantile.engine.config import RunConfig
from pantile.losses.presence_criterion import PresenceCriterionConfig
from pantile.merge.presence import PresenceMergeConfig
from pantile.models.query2label import query2label_nano_config
from pantile.recipes.mask2former import small_run
from pantile.recipes.registry import ALL_RECIPES


@ALL_RECIPES.register("query2label_nano")
def query2label_nano() -> RunConfig:
    """Small enough to train on two CPU cores within minutes. Any data set works."""
    config = small_run(
        RunConfig(
            recipe="",
            model=query2label_nano_config(),
            augment=AugmentConfig(),
            criterion=PresenceCriterionConfig(),
            merge=PresenceMergeConfig(),
        )
    )
    config.optimizer.gradient_clip = 1.0
    config.augment.crop = config.evaluation_size = (192, 192)
    return config
