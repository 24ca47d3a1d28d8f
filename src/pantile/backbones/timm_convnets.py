"""timm's ResNets, MobileNets and ConvNeXts as backbones.

What is read where (checked against the published parameter counts of the decoders):

- ResNet family: the activated output of each stage; ``stem`` is the feature after the max-pooling (stride 4).
- MobileNetV3: not the narrow output of a stage's last block but its *expanded* depthwise feature, after batch norm
  and activation, before squeeze-and-excitation; at stride 32 the last 1x1 convolution.
- ConvNeXt: the raw output of each stage; ``stem`` is the patchify output (stride 4). Maps are zero-padded so that
  sizes of 32k+1 give n, 2n-1, 4n-3, ... as they do in the other families.
"""

import re

import timm
import torch.nn.functional as F
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.convnext import ConvNeXt
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from torch import Tensor, nn

from pantile.backbones.interface import Backbone, layers_behind

STAGES = ("res5", "res4", "res3", "res2")


class TimmBackbone(Backbone):
    """A timm model behind the interface, as ``model``."""

    def __init__(self, model: nn.Module, channels: dict[str, int], stem_stride: int = 4, output_stride: int = 32):
        super().__init__(channels, stem_stride=stem_stride, output_stride=output_stride)
        self.model = model


def parameter_names(backbone: nn.Module) -> list[str]:
    return [name for name, _ in backbone.named_parameters()]


class ResNetBackbone(TimmBackbone):
    """ResNet-18 to -152 and relatives. Channels of ResNet-50: stem 64, then 256, 512, 1024, 2048."""

    def __init__(self, model: ResNet, output_stride: int):
        del model.global_pool, model.fc
        widths = {f"layer{info['module'][-1]}": info["num_chs"] for info in model.feature_info[1:]}
        res2, res3, res4, res5 = (widths[f"layer{i}"] for i in (1, 2, 3, 4))
        stem = model.bn1.num_features
        channels = {"res5": res5, "res4": res4, "res3": res3, "stem": stem, "res2": res2}
        super().__init__(model, channels, output_stride=output_stride)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        model = self.model
        stem = model.maxpool(model.act1(model.bn1(model.conv1(images))))
        res2 = model.layer1(stem)
        res3 = model.layer2(res2)
        res4 = model.layer3(res3)
        res5 = model.layer4(res4)
        return {"stem": stem, "res2": res2, "res3": res3, "res4": res4, "res5": res5}

    def layers_behind(self) -> dict[str, int]:
        """Block by block."""
        return layers_behind(parameter_names(self), r"model\.layer(\d+)\.(\d+)\.")


class MobileNetV3Backbone(TimmBackbone):
    """Small: 16, 88, 144, 576. Large: 72, 120, 672, 960. The stem is the first convolution, at stride 2."""

    def __init__(self, model: MobileNetV3, output_stride: int):
        for unused in ("global_pool", "conv_head", "norm_head", "act2", "flatten", "classifier"):
            delattr(model, unused)
        taps, channels = {}, {}
        for name, info in zip(STAGES, reversed(model.feature_info), strict=False):
            upto = model.blocks[: info["stage"]]  # stages count from 1
            last = upto[-1][-1]
            taps[sum(map(len, upto)) - 1] = name
            channels[name] = (last.conv_dw if hasattr(last, "conv_dw") else last.conv).out_channels
        channels["stem"] = model.conv_stem.out_channels
        super().__init__(model, channels, stem_stride=2, output_stride=output_stride)
        self.taps = taps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.model.bn1(self.model.conv_stem(images))
        features = {"stem": x}
        for index, block in enumerate(block for stage in self.model.blocks for block in stage):
            if index in self.taps:
                features[self.taps[index]], x = _expanded_and_output(block, x)
            else:
                x = block(x)
        return features

    def layers_behind(self) -> dict[str, int]:
        """Block by block."""
        return layers_behind(parameter_names(self), r"model\.blocks\.(\d+)\.(\d+)\.")


def _expanded_and_output(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Runs one MobileNetV3 block; also returns the depthwise feature before squeeze-and-excitation."""
    if isinstance(block, InvertedResidual):
        expanded = block.bn2(block.conv_dw(block.bn1(block.conv_pw(x))))
        out = block.bn3(block.conv_pwl(block.se(expanded)))
    elif isinstance(block, DepthwiseSeparableConv):
        expanded = block.bn1(block.conv_dw(x))
        out = block.bn2(block.conv_pw(block.se(expanded)))
    else:
        out = block(x)
        return out, out
    return expanded, block.drop_path(out) + x if block.has_skip else out


class ConvNeXtBackbone(TimmBackbone):
    """Tiny and small: stem 96, then 96, 192, 384, 768. Base: 128 to 1024. Large: 192 to 1536.

    The stem sees one more pixel on the left and top and up to two on the right and bottom, each downsampling one on
    the right and bottom: zeros, as the released models were trained.
    """

    def __init__(self, model: ConvNeXt, output_stride: int):
        del model.norm_pre, model.head
        res2, res3, res4, res5 = (info["num_chs"] for info in model.feature_info)
        channels = {"res5": res5, "res4": res4, "res3": res3, "res2": res2, "stem": res2}
        super().__init__(model, channels, output_stride=output_stride)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.model.stem(F.pad(images, (1, 2, 1, 2)))
        features = {"stem": x}
        for name, stage in zip(reversed(STAGES), self.model.stages, strict=True):
            if not isinstance(stage.downsample, nn.Identity) and stage.downsample[1].stride == (2, 2):
                x = F.pad(x, (0, 1, 0, 1))  # an undone stride: timm pads in the same places
            x = stage(x)
            features[name] = x
        return features

    def layers_behind(self) -> dict[str, int]:
        """As the original's fine-tuning counts: three blocks of res4 are a layer, each other stage is one. A
        downsampling belongs to what follows it."""
        names, layers = parameter_names(self), -(-len(self.model.stages[2].blocks) // 3)
        behind = dict.fromkeys(names, layers + 4)  # the stem
        for name in names:
            if match := re.match(r"model\.stages\.(\d+)\.(?:blocks\.(\d+))?", name):
                stage, block = int(match[1]), int(match[2] or 0)
                behind[name] = (layers + 3, layers + 2, layers + 1 - block // 3, 1)[stage]
        return behind


def dilated_mobilenet_blocks(model: MobileNetV3, base_name: str, drop_path: float) -> nn.Module:
    """The model's blocks at output stride 16, with its weights; in timm only the features-only form has them."""
    dilated = timm.create_model(base_name, features_only=True, output_stride=16, drop_path_rate=drop_path).blocks
    dilated.load_state_dict(model.blocks.state_dict())
    return dilated
