"""Which weights a model's backbone starts from, in words and in its config, and the images that they expect."""

from dataclasses import replace

from pantile.backbones import can_have_public_weights, image_statistics, tagged, weights_name
from pantile.models.base import ModelConfig


def with_named_weights(config: ModelConfig) -> ModelConfig:
    """The same model; where timm's weights are loaded, its backbone's name has their tag."""
    if not config.pretrained or _file(config) is not None:
        return config
    return replace(config, backbone=tagged(config.backbone))


def with_statistics_of_backbone(config: ModelConfig) -> ModelConfig:
    """The same model; its images are normalised as those that timm's weights of its backbone were trained on. Images of
    other than three bands, and backbones of which timm knows no weights, keep the config's mean and deviation."""
    known = image_statistics(config.backbone) if config.in_channels == 3 else None
    return config if known is None else replace(config, image_mean=known[0], image_std=known[1])


def without_start(config: ModelConfig) -> ModelConfig:
    """The same model, to be filled from a checkpoint: its backbone's weights are neither fetched nor read from a file,
    which need not be on the machine that loads what was trained from it."""
    named = {"backbone_weights": None} if _file(config) is not None else {}
    return replace(config, pretrained=False, **named)


def can_have_weights(config: ModelConfig) -> bool:
    """Whether the public weights of the backbone can be had here, see ``backbones.can_have_public_weights``."""
    return can_have_public_weights(config.backbone)


def start_of_backbone(config: ModelConfig) -> str:
    """For people: "timm's resnet50.tv_in1k", a file, or "random numbers"."""
    if _file(config) is not None:
        return str(_file(config))
    name = weights_name(config.backbone) if config.pretrained else None
    return f"timm's {name}" if name else "random numbers"


def _file(config: ModelConfig) -> str | None:
    return getattr(config, "backbone_weights", None)  # not every architecture has the field
