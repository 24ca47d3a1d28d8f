"""RankSeg (He et al., ECCV 2022, arXiv:2203.04187): on the recipes that its tables compare with, as ``NAME_rankseg``.

By the paper's section 4.1, Table 10 and Appendix H. Where its published configurations differ, they are ``--set``:

- Segmenter: ``techniques.rankseg.pooled_grid=8`` (tokens of a fixed grid in place of 1/32 of the image), none at all
  for 847 and 1284 classes (``pooled_stride=0``); ViT-B on COCO-Stuff ``loss=cross_entropy``;
- Swin: ``weight=10``; DeepLabv3: ``pooled_grid=16``, which at its crop is 1/32.

Weights and k of UPerNet on COCO-Stuff and COCO+LVIS are those of the other hosts; the paper does not say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pantile import engine, techniques
from pantile.recipes import deeplabv3, mask2former, segmenter, upernet, vit_adapter
from pantile.recipes.registry import ALL_RECIPES

#: data set: k, weight
VOCABULARIES = {
    "pascal_context": (25, 5.0),
    "ade20k": (50, 10.0),
    "coco_stuff10k": (50, 10.0),
    "ade20k_full": (100, 100.0),
    "coco_lvis": (100, 300.0),
}


def add_rankseg(base: Callable[[], engine.RunConfig], **settings: object) -> engine.RunConfig:
    """
    Args:
        base: makes the run without ranking.
        settings: fields of ``RankSegConfig``.
    """
    config = base()
    config.techniques = techniques.TechniquesConfig(rankseg=techniques.RankSegConfig(**settings))
    return config


def mask2former_rankseg(base: Callable[[], engine.RunConfig], **settings: object) -> engine.RunConfig:
    """All classes, sorted, and cosines in place of the linear classifier.

    Args:
        base: makes the run without ranking.
        settings: other fields of ``RankSegConfig``.
    """
    config = add_rankseg(base, weight=10.0, learning_rate_factor=0.1, **settings)
    config.model.cosine_classes = True
    return config


def ranked(
    bases: dict[str, Callable[[], engine.RunConfig]], **settings: object
) -> dict[str, Callable[[], engine.RunConfig]]:
    """Recipes of one family, whose names end in the data set.

    Args:
        bases: by name.
        settings: fields of ``RankSegConfig`` beside k and weight.
    """
    recipes = {}
    for name, base in bases.items():
        selected, weight = next(row for dataset, row in VOCABULARIES.items() if name.endswith(f"_{dataset}"))
        recipes[f"{name}_rankseg"] = partial(add_rankseg, base, selected=selected, weight=weight, **settings)
    return recipes


def halved(base: Callable[[], engine.RunConfig]) -> engine.RunConfig:
    """The smaller weight with which, and a smaller learning rate, the head of Swin-B does not overfit (Appendix H)."""
    config = base()
    config.techniques.rankseg.weight /= 2
    return config


_UPERNET = upernet.RECIPES
RECIPES: dict[str, Callable[[], engine.RunConfig]] = {
    **ranked(segmenter.RECIPES, decay_factor=100.0),
    **ranked(deeplabv3.RECIPES),
    **ranked({name: _UPERNET[name] for name in _UPERNET if "swin" in name}, learning_rate_factor=0.1),
    **ranked(
        {name: _UPERNET[name] for name in _UPERNET if "beit" in name},
        learning_rate_factor=0.1,
        share_embeddings=False,
        channels=1024,
    ),
}
RECIPES |= {name: partial(halved, RECIPES[name]) for name in RECIPES if "upernet" in name and "_ade20k_" in name}
RECIPES |= {
    "mask2former_swin_l_ade20k_rankseg": partial(
        mask2former_rankseg, partial(mask2former.mask2former_ade20k, "swin_l")
    ),
    # the width is that of the published count, 584.71 M
    "vit_adapter_l_ade20k_semantic_rankseg": partial(
        mask2former_rankseg, vit_adapter.vit_adapter_l_ade20k_semantic, channels=1024
    ),
}
ALL_RECIPES.register_all(RECIPES)
