"""UPerNet (Xiao et al., ECCV 2018, arXiv:1807.10221), its semantic head, as MMSegmentation has it.

    res5 -> pyramid pooling -+-----------------------> top                  --+
    res4 -> 1x1 ------------ + <- resized ... -------> 3x3 --> resized      --+-> 3x3 -> dropout -> one linear layer
    res3 -> 1x1 ------------ + <- resized ... -------> 3x3 --> resized      --+          per pixel, at stride 4
    res2 -> 1x1 ------------ + <- resized ... -------> 3x3                  --+
    res4 -> auxiliary head, in training only

On Swin, on BEiT (whose one map ``backbones.timm_beit`` makes into four) or any other backbone.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import SemanticOutput, SemanticSpec
from pantile.layers.conv import relu_conv
from pantile.layers.pyramid_pooling import PyramidPooling
from pantile.models.base import ARCHITECTURES
from pantile.models.fcn_head import FCNHead, start_classifier
from pantile.models.semantic_model import AllClasses, SemanticModel

LEVELS = ("res2", "res3", "res4", "res5")


@dataclass
class UPerNetConfig:
    """Defaults: Swin-B.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1. Swin 0.3, BEiT-L 0.2.
        image_size: (H, W) in pixels for which a BEiT stores its tables of relative positions, the crop in training;
            None is the name's. Other backbones have no such tables.
        feature_blocks: after how many blocks a BEiT's four features are taken; None is a third, half, two thirds and
            all of them.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        pool_scales: cells along a side of the pyramid's levels.
        channels: D, of the decoder and of the class embeddings. BEiT: its own width.
        auxiliary_channels: of the auxiliary head; 0 is none.
        dropout: of whole channels before the classes, 0..1.
    """

    architecture: Literal["upernet"] = "upernet"
    backbone: str = "swin_base_patch4_window12_384.ms_in22k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.3
    image_size: tuple[int, int] | None = None
    feature_blocks: tuple[int, int, int, int] | None = None
    in_channels: int = 3
    image_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    image_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    channels: int = 512
    auxiliary_channels: int = 256
    dropout: float = 0.1


def upernet_nano_config() -> UPerNetConfig:
    """The same network, small enough to train on two CPU cores."""
    return UPerNetConfig(
        backbone="test_resnet.r160_in1k", backbone_drop_path=0.0, channels=64, auxiliary_channels=32, dropout=0.0
    )


@ARCHITECTURES.register("upernet")
class UPerNet(SemanticModel):
    """
    Args:
        config: see ``UPerNetConfig``.
        num_classes: K.
    """

    config_class = UPerNetConfig
    training_only = ("auxiliary_head",)

    def __init__(self, config: UPerNetConfig, num_classes: int):
        super().__init__()
        if not config.pool_scales or min(config.pool_scales) < 1:
            raise UserError(f"model.pool_scales is {config.pool_scales}; give one or more numbers of at least 1.")
        self.config = config
        self.num_classes = num_classes
        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
            image_size=config.image_size,
            feature_blocks=config.feature_blocks,
        )
        widths, channels = [self.backbone.channels[name] for name in LEVELS], config.channels
        self.top = PyramidPooling(widths[-1], channels, config.pool_scales)
        self.laterals = nn.ModuleList(relu_conv(width, channels) for width in widths[:-1])
        self.outputs = nn.ModuleList(relu_conv(channels, channels, 3) for _ in widths[:-1])
        self.fuse = relu_conv(len(widths) * channels, channels, 3)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = nn.Linear(channels, num_classes)
        start_classifier(self.classifier)
        self.auxiliary_head = (
            FCNHead(widths[2], config.auxiliary_channels, num_classes, config.dropout)
            if config.auxiliary_channels
            else None
        )
        self.semantic_spec = SemanticSpec(
            num_classes=num_classes,
            embed_channels=channels,
            feature_channels=widths[-1],
            feature_stride=self.backbone.strides["res5"],
        )
        self.selector = AllClasses()

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> SemanticOutput:
        """Predicts the class of every pixel.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: every model can be asked for them; this one has none.

        Returns:
            Maps of (ceil(H / 4), ceil(W / 4)); ``auxiliary`` in training mode only.
        """
        features = self.backbone(images)
        maps = [features[name] for name in LEVELS]
        maps[-1] = self.refine(maps[-1])
        selection = self.selector.select(maps[-1], self.classifier.weight)
        head = self.auxiliary_head if self.training else None
        auxiliary = () if head is None else (head(maps[2]),)
        return self.classified(self.dropout(self._decode(maps)), selection, self.classifier.bias, auxiliary)

    def class_heads(self) -> set[str]:
        return {name for name, _ in self.named_parameters() if ".classifier." in f".{name}"}

    def _decode(self, maps: list[Tensor]) -> Tensor:
        """Of each stride, fine to coarse, to (B, channels, H / 4, W / 4)."""
        size = maps[0].shape[2:]
        x = self.top(maps[-1])
        levels = [_resized(x, size)]
        for index in reversed(range(len(self.laterals))):
            lateral = self.laterals[index](maps[index])
            x = lateral + _resized(x, lateral.shape[2:])
            levels.append(_resized(self.outputs[index](x), size))
        return self.fuse(torch.cat(levels[::-1], dim=1))


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
