"""Which models ``gpu.py`` measures, and what transformers has of them."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.recipes import make_recipe
from pantile.recipes.registry import ALL_RECIPES

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models"))

NAMES = [f"class {k}" for k in range(133)]
TAXONOMY = plain_taxonomy(NAMES, things=NAMES[:80])
CLASSES = len(TAXONOMY)
BACKBONES = ("resnet50", "swin_tiny", "vit_large", "beit_large", "vit_adapter_beit_large")
NANO = ("test_", "nano", "axial_nano", "swin_nano", "vit_nano", "vit_adapter_beit_nano", "swidernet_0.25_0.1875")


def recipes(tiny: bool) -> list[str]:
    """The first recipe of each pair of architecture and backbone that is of interest."""
    first: dict[tuple[str, str], str] = {}
    for name in dict(ALL_RECIPES.items()):
        model = make_recipe(name).model
        if model.backbone.startswith(NANO if tiny else BACKBONES):
            first.setdefault((model.architecture, model.backbone), name)
    return list(first.values())


def counterpart(name: str) -> Callable[[int], nn.Module] | None:
    """What makes transformers' model for inputs of a size, with random weights; None where it has none."""
    config = make_recipe(name).model
    make = {"mask2former": _queries, "maskformer": _queries, "eomt": _eomt}.get(config.architecture)
    return make and partial(make, config)


def _queries(config, size: int) -> nn.Module:
    from huggingface import huggingface_mask2former, huggingface_maskformer

    backbone = config.backbone.split(".")[0]
    config = replace(config, backbone="resnet18" if backbone == "test_resnet" else backbone)
    make = {"mask2former": huggingface_mask2former, "maskformer": huggingface_maskformer}[config.architecture]
    return make(config, CLASSES)


def _eomt(config, size: int) -> nn.Module:
    from huggingface import huggingface_eomt

    form = "eomt_dinov3" if "dinov3" in config.backbone else "eomt"
    if "large" not in config.backbone:
        return huggingface_eomt(form, CLASSES, image_size=size)
    width = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    if form == "eomt":
        del width["intermediate_size"]
    sizes = {"image_size": size, "patch_size": 16, "num_queries": config.num_queries, "num_blocks": 4}
    return huggingface_eomt(form, CLASSES, **width, **sizes)
