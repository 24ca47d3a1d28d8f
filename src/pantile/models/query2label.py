"""Query2Label (Liu et al., arXiv:2107.10834): classes query an image for whether they are in it.

    images -> backbone -> 1x1 projection -> encoder layers over the pixels -+-> decoder layers -> one output per class
                                                   class embeddings --------+

It classifies images, not pixels: its output is a map of one cell. RankSeg's independent scheme (arXiv:2203.04187,
Table 11) takes its ranking from such a run: ``techniques.rankseg.ranking_from``.

Classes do not look at each other: the published code leaves that attention out unless it is asked for
(``--keep_first_self_attn_dec``, ``--keep_other_self_attn_dec`` of SlongLiu/query2labels), and so does RankSeg's 2x
TranDec. As there, a backbone of D channels has no projection. No publication states the numbers of weights: RankSeg's
Table 3 has 343.21 M for Swin-L together with a Segmenter, without the decoder's width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import SemanticOutput
from pantile.layers.grouped_linear import GroupedLinear
from pantile.layers.label_queries import LabelQueryLayer
from pantile.layers.position_encoding import sine_positions
from pantile.layers.transformer import EncoderLayer
from pantile.models.base import ARCHITECTURES, PanopticModel


@dataclass
class Query2LabelConfig:
    """Defaults: ResNet-101 as the authors' command on COCO has it (README of SlongLiu/query2labels).

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        channels: D of pixels and classes, a multiple of four and of ``num_heads``.
        num_heads: of all attention.
        ffn_channels: inner width of a layer's feed-forward part.
        encoder_layers: over the pixels; 0 is none.
        decoder_layers: in which classes look at pixels.
        dropout: of attention weights and of what a layer adds, 0..1.
    """

    architecture: Literal["query2label"] = "query2label"
    backbone: str = "resnet101.a1h_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    in_channels: int = 3
    image_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    image_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    channels: int = 2048
    num_heads: int = 4
    ffn_channels: int = 8192
    encoder_layers: int = 1
    decoder_layers: int = 2
    dropout: float = 0.1


def query2label_nano_config() -> Query2LabelConfig:
    """The same network, small enough to train on two CPU cores."""
    return Query2LabelConfig(backbone="test_resnet.r160_in1k", channels=64, num_heads=2, ffn_channels=128, dropout=0.0)


@ARCHITECTURES.register("query2label")
class Query2Label(PanopticModel):
    """
    Args:
        config: see ``Query2LabelConfig``.
        num_classes: K.

    Raises:
        UserError: widths and heads do not fit, or there is no decoder layer.
    """

    config_class = Query2LabelConfig

    def __init__(self, config: Query2LabelConfig, num_classes: int):
        super().__init__()
        channels = config.channels
        if channels % config.num_heads or channels % 4:
            raise UserError(
                f"model.channels is {channels}: give a multiple of four and of model.num_heads, which is "
                f"{config.num_heads}."
            )
        if config.decoder_layers < 1 or config.encoder_layers < 0:
            raise UserError(
                f"model.decoder_layers is {config.decoder_layers} and model.encoder_layers {config.encoder_layers}: "
                "give at least 1 and 0."
            )
        self.config = config
        self.num_classes = num_classes
        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
        )
        same = self.backbone.channels["res5"] == channels
        self.projection = nn.Identity() if same else nn.Conv2d(self.backbone.channels["res5"], channels, 1)
        sizes = (channels, config.num_heads, config.ffn_channels, config.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.encoder_layers))
        self.class_embed = nn.Parameter(torch.randn(num_classes, channels))
        self.decoder = nn.ModuleList(LabelQueryLayer(*sizes) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(channels)
        self.classifier = GroupedLinear(channels, num_classes)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> SemanticOutput:
        """Predicts which classes an image shows.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: every model can be asked for them; this one has none.

        Returns:
            ``presence_logits``, and the same as a map of one cell, (B, K, 1, 1).
        """
        pixels = self.projection(self.backbone(images)["res5"])
        values = pixels.flatten(2).transpose(1, 2)
        positions = sine_positions((tuple(pixels.shape[2:]),), pixels.shape[1], pixels.device).to(values.dtype)
        for layer in self.encoder:
            values = layer(values, positions)
        content = torch.zeros_like(self.class_embed).expand(len(values), -1, -1)
        for layer in self.decoder:
            content = layer(content, self.class_embed, values + positions, values)
        classes = self.norm(content)
        logits = self.classifier(classes)
        whole = values.mean(dim=1)[..., None, None]
        return SemanticOutput(logits[..., None, None], whole, classes, self.num_classes, presence_logits=logits)

    def class_heads(self) -> set[str]:
        return {"class_embed", "classifier.weight", "classifier.bias"}
