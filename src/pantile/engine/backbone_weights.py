"""Which weights a run's backbone starts from, in words and in its config."""

from dataclasses import replace

from pantile.backbones import weights_name
from pantile.engine.config import RunConfig
from pantile.models import ModelConfig


def with_named_weights(config: RunConfig) -> RunConfig:
    """The same run; where timm's weights are loaded, its backbone's name has their tag."""
    name = weights_name(config.model.backbone)
    if not config.model.pretrained or config.model.backbone_weights is not None or name is None:
        return config
    return replace(config, model=replace(config.model, backbone=name))


def start_of_backbone(model: ModelConfig) -> str:
    """For people: "timm's resnet50.tv_in1k", a file, or "random numbers"."""
    if model.backbone_weights is not None:
        return str(model.backbone_weights)
    name = weights_name(model.backbone) if model.pretrained else None
    return f"timm's {name}" if name else "random numbers"
