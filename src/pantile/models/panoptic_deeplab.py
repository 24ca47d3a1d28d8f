"""Panoptic-DeepLab (Cheng et al., CVPR 2020, arXiv:1911.10194), as SWideRNet (Chen et al., arXiv:2011.11675) runs it.

Bottom-up: every pixel says its class, how near the centre of a thing it is, and where its own thing's centre lies.

                     +-> ASPP -> fuse stride 8 -> fuse stride 4 -> semantic head ------------------------> (B, K, h, w)
    images -> backbone
                     +-> ASPP -> fuse stride 8 -> fuse stride 4 -+-> centre head (heat, no activation) --> (B, 1, h, w)
                                                                 +-> offset head (dy, dx) ---------------> (B, 2, h, w)

    fuse:  x <- conv5x5(concat(resize(x), conv1x1(backbone feature)))
    head:  conv1x1(conv5x5(x)), the last with a bias;  every other convolution is followed by BN and ReLU

The two branches share nothing but the backbone. The strong regime has ordinary convolutions; the fast one has
depthwise-separable ones in place of the 5x5 and of ASPP's dilated 3x3.

The layer widths follow from the published parameter counts of 17 models, which this file meets to the printed digit
(with the 201 class channels that those counts imply). Public implementations differ; the fields of the config name
what each does. Different from all of them:

- image pooling is the mean over the whole map, whatever the size (deeplab2: a window of the training crop);
- inputs of any size; every resize aligns corners, which is exact for sizes of 16k+1;
- the last 1x1 convolutions run in float32 under autocast: bfloat16 would round an offset of 100 to half a pixel.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_tf_
from torch import Tensor, nn

from pantile.backbones import SWideRNetConfig, create_backbone
from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput, CenterSpec
from pantile.contracts.precision import autocast_off
from pantile.layers.aspp import ASPP
from pantile.layers.conv import ConvNorm, set_batch_norm
from pantile.layers.separable_conv import SeparableConv
from pantile.models.base import ARCHITECTURES, PanopticModel


@dataclass
class PanopticDeepLabConfig:
    """Defaults: the strong regime of SWideRNet's paper, on ResNet-50.

    Attributes:
        architecture: tells the configs of different architectures apart.
        backbone: timm name, "wr41", or "swidernet_{w1}_{w2}_{l}" such as "swidernet_0.25_0.5_1".
        pretrained: load timm's ImageNet weights of the backbone, those of the tag in its name.
        backbone_weights: file with weights of the backbone, instead of a download.
        backbone_drop_path: stochastic depth of the backbone, 0..1. SWideRNet in its paper: 0.2.
        swidernet: other options of the backbones "wr41" and "swidernet_..."; None is the paper's.
        output_stride: of the backbone's last feature, which ASPP reads.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
        regime: "strong" has ordinary, "fast" has depthwise-separable convolutions in ASPP, fusions and heads.
        separable_norm: batch norm and ReLU between the two parts of a separable convolution. The paper's counts have
            none; deeplab2, detectron2 and the PyTorch Panoptic-DeepLab have them.
        separable_aspp: the fast regime reaches into ASPP (the paper, detectron2) or not (deeplab2).
        aspp_rates: dilations at ``output_stride``. 6, 12, 18 are meant for stride 16.
        decoder_kernels: kernel sizes of the convolutions of a fusion or head, one after the other. (5,) everywhere but
            in detectron2's ordinary convolutions: (3, 3).
        semantic_width: channels of ASPP, fusions and head of the semantic branch.
        semantic_projections: channels of its 1x1-projected backbone features at strides 8 and 4.
        instance_width: channels of ASPP in the instance branch.
        instance_decoder_width: channels of its fusions.
        instance_projections: as ``semantic_projections``. detectron2: (64, 32).
        head_width: inner channels of the centre and offset heads. The PyTorch Panoptic-DeepLab: 128 or 32.
        batch_norm_momentum: torch convention, of all batch norms, backbone included.
        batch_norm_eps: of all batch norms, backbone included.
    """

    architecture: Literal["panoptic_deeplab"] = "panoptic_deeplab"
    backbone: str = "resnet50.tv_in1k"
    pretrained: bool = False
    backbone_weights: str | None = None
    backbone_drop_path: float = 0.0
    swidernet: SWideRNetConfig | None = None
    output_stride: Literal[16, 32] = 16
    in_channels: int = 3
    image_mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    image_std: tuple[float, ...] = (127.5, 127.5, 127.5)
    regime: Literal["fast", "strong"] = "strong"
    separable_norm: bool = False
    separable_aspp: bool = True
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    decoder_kernels: tuple[int, ...] = (5,)
    semantic_width: int = 256
    semantic_projections: tuple[int, int] = (64, 32)
    instance_width: int = 256
    instance_decoder_width: int = 128
    instance_projections: tuple[int, int] = (32, 16)
    head_width: int = 32
    batch_norm_momentum: float = 0.01
    batch_norm_eps: float = 1e-3


def panoptic_deeplab_nano_config() -> PanopticDeepLabConfig:
    """The same network, small enough to train on two CPU cores."""
    return PanopticDeepLabConfig(
        backbone="swidernet_0.25_0.1875_0.35",
        regime="fast",
        separable_norm=True,
        aspp_rates=(2, 4, 6),
        decoder_kernels=(3,),
        semantic_width=64,
        semantic_projections=(16, 8),
        instance_width=64,
        instance_decoder_width=32,
        instance_projections=(8, 4),
        head_width=16,
        batch_norm_momentum=0.03,  # runs are short
    )


@ARCHITECTURES.register("panoptic_deeplab")
class PanopticDeepLab(PanopticModel):
    """Semantic segmentation, centre heat map and offsets.

    Args:
        config: see ``PanopticDeepLabConfig``.
        num_classes: K, things and stuff, without void.

    """

    config_class = PanopticDeepLabConfig

    def __init__(self, config: PanopticDeepLabConfig, num_classes: int):
        super().__init__()
        _check(config)
        self.config = config
        self.num_classes = num_classes
        self.backbone = create_backbone(
            config.backbone,
            pretrained=config.pretrained,
            weights_file=config.backbone_weights,
            in_channels=config.in_channels,
            drop_path=config.backbone_drop_path,
            output_stride=config.output_stride,
            swidernet=config.swidernet,
        )
        channels = self.backbone.channels
        wide, narrow = config.semantic_width, config.instance_decoder_width
        self.semantic_decoder = Decoder(channels, wide, wide, config.semantic_projections, config)
        self.semantic_head = Head(wide, wide, num_classes, config)
        self.instance_decoder = Decoder(channels, config.instance_width, narrow, config.instance_projections, config)
        self.center_head = Head(narrow, config.head_width, 1, config)
        self.offset_head = Head(narrow, config.head_width, 2, config)
        set_batch_norm(self, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> CenterOutput:
        """Predicts classes, centres and offsets of all pixels.

        Args:
            images: (B, in_channels, H, W) float, normalised with the config's mean and std. Any size above one cell
                of the coarsest map; 32k+1 keeps corners aligned at all strides.
            layer_outputs: every model can be asked for them; this one has no decoder layers.

        Returns:
            Maps at stride 4, (ceil(H / 4), ceil(W / 4)); offsets in pixels of these maps.

        Raises:
            UserError: H or W is not larger than the output stride.
        """
        _check_size(images, self.config.output_stride)
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        semantic = self.semantic_decoder(features)
        instance = self.instance_decoder(features)
        return CenterOutput(
            semantic_logits=self.semantic_head(semantic),
            center_heatmap=self.center_head(instance),
            center_offset=self.offset_head(instance),
            semantic_feature=semantic,
        )

    @property
    def center_spec(self) -> CenterSpec:
        """What a technique may know before the first batch."""
        return CenterSpec(self.num_classes, self.config.semantic_width, feature_stride=4)

    def class_heads(self) -> set[str]:
        """Names of the tensors whose rows are the classes."""
        return {f"semantic_head.predictor.{name}" for name in ("weight", "bias")}


class Decoder(nn.Module):
    """Backbone features -> (B, width, H/4, W/4): context from ASPP, then detail from strides 8 and 4.

    Args:
        channels: of the backbone's features res5, res3 and res2.
        aspp_width: channels of ASPP's result.
        width: channels of both fusions.
        projections: channels of the projected features at strides 8 and 4.
        config: kinds of convolutions.
    """

    def __init__(
        self,
        channels: dict[str, int],
        aspp_width: int,
        width: int,
        projections: tuple[int, int],
        config: PanopticDeepLabConfig,
    ):
        super().__init__()
        eighth, quarter = projections
        atrous = partial(_atrous_conv, config)
        self.aspp = ASPP(channels["res5"], aspp_width, config.aspp_rates, nn.ReLU, atrous=atrous)
        self.project_res3 = ConvNorm(channels["res3"], eighth, act=nn.ReLU)
        self.fuse_res3 = _wide_convs(aspp_width + eighth, width, config)
        self.project_res2 = ConvNorm(channels["res2"], quarter, act=nn.ReLU)
        self.fuse_res2 = _wide_convs(width + quarter, width, config)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        x = self.aspp(features["res5"])
        x = _fuse(x, self.project_res3(features["res3"]), self.fuse_res3)
        return _fuse(x, self.project_res2(features["res2"]), self.fuse_res2)


class Head(nn.Module):
    """(B, in_channels, h, w) -> (B, out_channels, h, w) without activation."""

    def __init__(self, in_channels: int, width: int, out_channels: int, config: PanopticDeepLabConfig):
        super().__init__()
        self.hidden = _wide_convs(in_channels, width, config)
        self.predictor = nn.Conv2d(width, out_channels, 1)
        trunc_normal_tf_(self.predictor.weight, std=0.01)
        nn.init.zeros_(self.predictor.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x)
        with autocast_off(x.device):
            return self.predictor(hidden.to(self.predictor.weight.dtype))


def _fuse(coarse: Tensor, fine: Tensor, conv: nn.Module) -> Tensor:
    coarse = F.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=True)
    return conv(torch.cat([coarse, fine], dim=1))


def _wide_convs(in_channels: int, out_channels: int, config: PanopticDeepLabConfig) -> nn.Module:
    """What a fusion or a head does: the config's kernels one after the other."""
    separable = config.regime == "fast"
    widths = (in_channels, *[out_channels] * len(config.decoder_kernels))
    pairs = zip(pairwise(widths), config.decoder_kernels, strict=True)
    return nn.Sequential(*(_conv(before, after, size, separable, config) for (before, after), size in pairs))


def _atrous_conv(config: PanopticDeepLabConfig, in_channels: int, out_channels: int, rate: int) -> nn.Module:
    separable = config.regime == "fast" and config.separable_aspp
    return _conv(in_channels, out_channels, 3, separable, config, rate)


def _conv(
    in_channels: int, out_channels: int, size: int, separable: bool, config: PanopticDeepLabConfig, rate: int = 1
) -> nn.Module:
    if separable:
        return SeparableConv(in_channels, out_channels, size, dilation=rate, middle_norm=config.separable_norm)
    he_normal = math.sqrt(2.0 / (in_channels * size**2))
    return ConvNorm(in_channels, out_channels, size, dilation=rate, act=nn.ReLU, std=he_normal)


def _check(config: PanopticDeepLabConfig) -> None:
    """Raises a UserError for values that no network can be built from."""
    if not config.decoder_kernels or any(size < 1 or size % 2 == 0 for size in config.decoder_kernels):
        raise UserError(
            f"model.decoder_kernels is {config.decoder_kernels}; give one or more odd sizes, such as (5,) or (3, 3)."
        )
    if not config.aspp_rates or min(config.aspp_rates) < 1:
        raise UserError(f"model.aspp_rates is {config.aspp_rates}; give one or more dilations of at least 1.")


def _check_size(images: Tensor, output_stride: int) -> None:
    height, width = images.shape[2:]
    if min(height, width) <= output_stride:
        raise UserError(
            f"images of {height}x{width} pixels are too small for model.output_stride = {output_stride}; both sides "
            f"must be larger than {output_stride}."
        )
