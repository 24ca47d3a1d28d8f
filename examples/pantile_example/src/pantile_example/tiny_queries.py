"""TinyQueries: the smallest mask classification model that trains.

images -> backbone -> sum of all strides at stride 4 -> pixel embedding
queries -> one attention to res5 -> class, mask embedding -> MaskOutput
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pantile.backbones import create_backbone
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.models import ARCHITECTURES, PanopticModel


@dataclass
class TinyQueriesConfig:
    architecture: Literal["tiny_queries"] = "tiny_queries"
    backbone: str = "test_resnet"
    pretrained: bool = False
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    num_queries: int = 16
    channels: int = 32


@ARCHITECTURES.register("tiny_queries")
class TinyQueries(PanopticModel):
    config_class = TinyQueriesConfig

    def __init__(self, config: TinyQueriesConfig, num_classes: int) -> None:
        super().__init__()
        self.config, self.num_classes, self.segment_limit = config, num_classes, config.num_queries
        self.backbone = create_backbone(config.backbone, pretrained=config.pretrained, in_channels=config.in_channels)
        width = config.channels
        maps = ("res2", "res3", "res4", "res5")
        self.laterals = nn.ModuleDict({name: nn.Conv2d(self.backbone.channels[name], width, 1) for name in maps})
        self.to_pixels = nn.Conv2d(width, width, 3, padding=1)
        self.queries = nn.Parameter(torch.randn(config.num_queries, width))
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.to_class = nn.Linear(width, num_classes + 1)
        self.to_mask = nn.Linear(width, width)

    @property
    def mask_spec(self) -> MaskSpec:
        width = self.config.channels
        return MaskSpec(0, self.config.num_queries, self.num_classes, width, width)

    def class_heads(self) -> set[str]:
        return {"to_class.weight", "to_class.bias"}

    def query_embeddings(self) -> dict[str, int]:
        return {"queries": 0}

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> MaskOutput:
        features = self.backbone(images)
        size = features["res2"].shape[-2:]
        maps = {name: lateral(features[name]) for name, lateral in self.laterals.items()}
        pixels = sum(F.interpolate(m, size, mode="bilinear", align_corners=False) for m in maps.values())
        embed = self.to_pixels(pixels.relu())
        memory = maps["res5"].flatten(2).transpose(1, 2)  # (B, h w, C)
        queries = self.queries.expand(len(images), -1, -1)
        queries = queries + self.attention(queries, memory, memory, need_weights=False)[0]
        query_embed = self.to_mask(queries)
        masks = torch.einsum("bnc,bchw->bnhw", query_embed, embed)
        return MaskOutput(self.to_class(queries), masks, query_embed, embed, pixels)
