"""DeepLabv3 (Chen et al., arXiv:1706.05587) as MMSegmentation has it.

    images -> ResNet, dilated to stride 8 --- res5 -> ASPP -> dropout -> one linear layer per pixel
                                          +-- res4 -> auxiliary head, in training only

ASPP has a 3x3 projection, as in MMSegmentation (the paper: 1x1). Logits are at the backbone's output stride.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import SemanticOutput, SemanticSpec
from pantile.layers.aspp import ASPP
from pantile.layers.conv import relu_conv
from pantile.models.base import ARCHITECTURES
from pantile.models.fcn_head import FCNHead, start_classifier
from pantile.models.semantic_model import AllClasses, SemanticModel


@dataclass
class DeepLabV3Config:
    """Defaults: ResNet-101 on ADE20K and COCO-Stuff, with a stem of three convolutions.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name.
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with timm weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1.
        output_stride: of the backbone's last feature: 8 (ResNets only), 16 or 32.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        aspp_rates: dilations at ``output_stride``. 12, 24, 36 are meant for stride 8.
        channels: D, of ASPP and of the class embeddings.
        auxiliary_channels: of the auxiliary head; 0 is none.
        dropout: of whole channels before the classes, 0..1.
    """

    architecture: Literal["deeplabv3"] = "deeplabv3"
    backbone: str = "resnet101c.gluon_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    output_stride: Literal[8, 16, 32] = 8
    in_channels: int = 3
    image_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    image_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    aspp_rates: tuple[int, ...] = (12, 24, 36)
    channels: int = 512
    auxiliary_channels: int = 256
    dropout: float = 0.1


def deeplabv3_nano_config() -> DeepLabV3Config:
    """The same network, small enough to train on two CPU cores."""
    return DeepLabV3Config(
        backbone="test_resnet.r160_in1k", aspp_rates=(2, 4, 6), channels=64, auxiliary_channels=32, dropout=0.0
    )


@ARCHITECTURES.register("deeplabv3")
class DeepLabV3(SemanticModel):
    """
    Args:
        config: see ``DeepLabV3Config``.
        num_classes: K.
    """

    config_class = DeepLabV3Config
    training_only = ("auxiliary_head",)

    def __init__(self, config: DeepLabV3Config, num_classes: int):
        super().__init__()
        if not config.aspp_rates or min(config.aspp_rates) < 1:
            raise UserError(f"model.aspp_rates is {config.aspp_rates}; give one or more dilations of at least 1.")
        self.config = config
        self.num_classes = num_classes
        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
            output_stride=config.output_stride,
        )
        channels = self.backbone.channels
        self.aspp = ASPP(
            channels["res5"],
            config.channels,
            config.aspp_rates,
            nn.ReLU,
            dropout=0.0,
            atrous=lambda wide, narrow, rate: relu_conv(wide, narrow, 3, rate),
            project_kernel=3,
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = nn.Linear(config.channels, num_classes)
        start_classifier(self.classifier)
        self.auxiliary_head = (
            FCNHead(channels["res4"], config.auxiliary_channels, num_classes, config.dropout)
            if config.auxiliary_channels
            else None
        )
        self.semantic_spec = SemanticSpec(
            num_classes=num_classes,
            embed_channels=config.channels,
            feature_channels=channels["res5"],
            feature_stride=config.output_stride,
        )
        self.selector = AllClasses()

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> SemanticOutput:
        """Predicts the class of every pixel.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size.
            layer_outputs: every model can be asked for them; this one has none.

        Returns:
            Maps of (ceil(H / s), ceil(W / s)) at the output stride s; ``auxiliary`` in training mode only.
        """
        features = self.backbone(images)
        top = self.refine(features["res5"])
        selection = self.selector.select(top, self.classifier.weight)
        head = self.auxiliary_head if self.training else None
        auxiliary = () if head is None else (head(features["res4"]),)
        pixels = self.dropout(self.aspp(top))
        return self.classified(pixels, selection, self.classifier.bias, auxiliary)

    def class_heads(self) -> set[str]:
        return {name for name, _ in self.named_parameters() if ".classifier." in f".{name}"}
