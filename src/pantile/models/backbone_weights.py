"""Which weights a model's backbone starts from, in words and in its config."""

from dataclasses import replace

from pantile.backbones import tagged, weights_name
from pantile.models.base import ModelConfig


def with_named_weights(config: ModelConfig) -> ModelConfig:
    """The same model; where timm's weights are loaded, its backbone's name has their tag."""
    if not config.pretrained or _file(config) is not None:
        return config
    return replace(config, backbone=tagged(config.backbone))


def start_of_backbone(config: ModelConfig) -> str:
    """For people: "timm's resnet50.tv_in1k", a file, or "random numbers"."""
    if _file(config) is not None:
        return str(_file(config))
    name = weights_name(config.backbone) if config.pretrained else None
    return f"timm's {name}" if name else "random numbers"


def _file(config: ModelConfig) -> str | None:
    return getattr(config, "backbone_weights", None)  # not every architecture has the field
