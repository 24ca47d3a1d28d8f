"""A sound model of a few convolutions, for checks to break."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.models import PanopticModel

NAME = "checked_tiny"


@dataclass
class TinyConfig:
    architecture: Literal["checked_tiny"] = NAME
    backbone: str = "a convolution"
    pretrained: bool = False
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    num_queries: int = 6


class Tiny(PanopticModel):
    config_class = TinyConfig
    training_only = ("auxiliary",)

    def __init__(self, config: TinyConfig, num_classes: int) -> None:
        super().__init__()
        self.config, self.num_classes, self.segment_limit = config, num_classes, config.num_queries
        convolution = nn.Conv2d(config.in_channels, 8, 3, stride=4, padding=1)
        self.backbone = nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU())
        self.embed = nn.Conv2d(8, 8, 1)
        self.auxiliary = nn.Conv2d(8, num_classes + 1, 1)
        self.queries = nn.Parameter(torch.randn(config.num_queries, 8))
        self.classify = nn.Linear(8, num_classes + 1)

    @property
    def mask_spec(self) -> MaskSpec:
        return MaskSpec(0, self.config.num_queries, self.num_classes, 8, 8)

    def class_heads(self) -> set[str]:
        return {f"{head}.{name}" for head in ("auxiliary", "classify") for name in ("weight", "bias")}

    def query_embeddings(self) -> dict[str, int]:
        return {"queries": 0}

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        features = self.backbone(images)
        return self.predict(features, self.embed(features))

    def predict(self, features: Tensor, pixels: Tensor) -> MaskOutput:
        queries = self.queries + features.mean(dim=(2, 3))[:, None]
        masks = torch.einsum("bnc,bchw->bnhw", queries, pixels)
        semantic = self.auxiliary(features) if self.training else None
        return MaskOutput(self.classify(queries), masks, queries, pixels, features, semantic_logits=semantic)
