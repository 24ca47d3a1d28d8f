"""Configs of runs that take a second."""

import json
from dataclasses import fields, replace

from pantile.engine.config import RunConfig, to_dict
from pantile.recipes import make_recipe


def make_tiny_config(recipe: str = "remax_nano") -> RunConfig:
    config = make_recipe(recipe)
    config.augment.crop = config.evaluation_size = (65, 65)
    config.criterion.instance_samples = config.criterion.semantic_samples = 64
    training = config.training
    training.steps, training.effective_batch, training.workers = 4, 4, 0
    training.validate_every, training.validation_images, training.log_every = 0.5, 2, 1
    training.precision = "fp32"
    return config


#: fields in which a shrunk model is like its family's nano model
WIDTHS = {
    "query_channels",
    "embed_channels",
    "ffn_channels",
    "encoder_ffn_channels",
    "decoder_ffn_channels",
    "auxiliary_channels",
    "channels",
    "num_heads",
    "semantic_width",
    "instance_width",
    "instance_decoder_width",
    "head_width",
    "memory_channels",
    "bottleneck",
    "predictor_channels",
}
#: backbones of the kinds that are not timm's
TINY_BACKBONES = {"swidernet": "swidernet_0.125_0.125_1", "wr41": "swidernet_0.125_0.125_1", "axial": "axial_nano"}
TINY_BACKBONES |= {"max": "axial_nano"}
NANO_RECIPES = {"max_deeplab": "max_nano", "cmt_deeplab": "cmt_nano"}


def shrunk(name: str) -> RunConfig:
    """A recipe with a tiny backbone, narrow layers, a small crop and batch; everything else is the recipe's own."""
    config = make_recipe(name)
    model, architecture = config.model, config.model.architecture
    nano = make_recipe(NANO_RECIPES.get(architecture, f"{architecture}_nano")).model
    backbone = TINY_BACKBONES.get(model.backbone.partition("_")[0], "test_resnet")
    widths = {f.name: getattr(nano, f.name) for f in fields(model) if f.name in WIDTHS}
    if model.architecture == "kmax":
        widths["decoder_widths"] = (64, 64, 32, 16, 16)
    if architecture in NANO_RECIPES:
        widths["decoder"] = tuple((stride, 1) for stride, _ in model.decoder[-3:])
    if getattr(model, "first_backbone", None) is not None:
        widths["first_backbone"] = backbone
    config.model = replace(model, backbone=backbone, pretrained=False, **widths)
    if backbone == "test_resnet" and model.backbone_drop_path:
        config.model.backbone_drop_path = 0.1  # whatever the size of the backbone that is not here
    config.augment.crop = (64, 64) if config.augment.crop[0] % 32 == 0 else (65, 65)
    config.training.effective_batch, config.training.device_batch, config.training.workers = 2, None, 0
    config.training.precision = "fp32"
    for field in ("instance_samples", "semantic_samples", "points"):
        if hasattr(config.criterion, field):
            setattr(config.criterion, field, 64)
    if config.techniques.remask is not None:
        config.techniques.remask.channels = 16
    return config


def distinct_when_shrunk(names: list[str]) -> list[str]:
    """The first of all recipes that a training step cannot tell apart once they are shrunk."""
    first: dict[str, str] = {}
    for name in names:
        content = to_dict(shrunk(name))
        for group in ("recipe", "training", "merge", "evaluation_size"):
            del content[group]
        del content["augment"]["filter_empty"]  # what a data set leaves out
        first.setdefault(json.dumps(content, sort_keys=True), name)
    return list(first.values())
