"""timm models as backbones: the features that panoptic decoders read, and nothing else of the model.

What is read where (checked against the published parameter counts of the decoders):

- ResNet family: the activated output of each stage; ``stem`` is the feature after the max-pooling (stride 4).
- MobileNetV3: not the narrow output of a stage's last block but its *expanded* depthwise feature, after batch norm
  and activation, before squeeze-and-excitation; at stride 32 the last 1x1 convolution.
- ConvNeXt: the raw output of each stage; ``stem`` is the patchify output (stride 4). Maps are zero-padded so that
  sizes of 32k+1 give n, 2n-1, 4n-3, ... as they do in the other families.
- any other timm model with features at strides 4, 8, 16 and 32: timm's ``features_only``; no stem.

Modules and parameters keep timm's names below ``model``.
"""

from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.convnext import ConvNeXt
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from torch import Tensor, nn

from pantile.contracts.errors import UserError

STAGES = ("res5", "res4", "res3", "res2")
STRIDES = {"res5": 32, "res4": 16, "res3": 8, "res2": 4}


class Backbone(nn.Module):
    """Common interface: (B, in_channels, H, W) normalised float -> dict of (B, C, h, w) by name.

    Names are res2, res3, res4, res5 (strides 4, 8, 16, 32) and, where the family has one, stem. A map of stride s
    measures ceil(H / s) x ceil(W / s).

    Attributes:
        channels: name -> C. Its order is that in which a decoder visits the maps, coarse to fine.
        strides: name -> s.
    """

    def __init__(self, model: nn.Module, channels: dict[str, int], stem_stride: int = 4):
        super().__init__()
        self.model = model
        self.channels = channels
        self.strides = {name: STRIDES.get(name, stem_stride) for name in channels}


def create_backbone(
    name: str,
    *,
    pretrained: bool = False,
    weights_file: str | None = None,
    in_channels: int = 3,
    drop_path: float = 0.0,
) -> Backbone:
    """A backbone by its timm name.

    Args:
        name: such as ``resnet50``, ``convnext_tiny.fb_in22k_ft_in1k``, ``mobilenetv3_large_100``.
        pretrained: load timm's ImageNet weights, downloaded on first use.
        weights_file: load these weights of the whole timm model (.safetensors, .pth) instead.
        in_channels: bands of the image; timm adapts the first kernel when weights are loaded.
        drop_path: stochastic depth rate of the last block; 0..1.

    Raises:
        UserError: unknown name, no download possible, unreadable file, or a model without the four strides.
    """
    base_name = name.split(".")[0]
    if not timm.is_model(base_name):
        close = ", ".join(timm.list_models(f"*{base_name.split('_')[0]}*")[:4]) or "resnet50, convnext_tiny"
        raise UserError(f"model.backbone: timm has no model named {name!r}; try one of {close}.")
    if weights_file is not None and not Path(weights_file).is_file():
        raise UserError(f"model.backbone_weights: there is no file {weights_file}; give timm weights of {name}.")

    with torch.device("meta"):
        family = _family(timm.create_model(base_name))
    options: dict = {"in_chans": in_channels, "pretrained": pretrained}
    if drop_path > 0:
        options["drop_path_rate"] = drop_path
    if weights_file is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": weights_file}}
    if family is TimmFeatures:
        options |= {"features_only": True}
    try:
        model = timm.create_model(name, **options)
    except Exception as error:
        if not options["pretrained"]:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"model.backbone: timm cannot build {name!r} as a backbone ({reason}).") from error
        raise UserError(
            f"model.backbone: could not load weights of {name} from {weights_file or 'the network'} "
            f"({type(error).__name__}); set model.pretrained to false, or give a file of timm weights in "
            "model.backbone_weights."
        ) from error
    return family(model)


class ResNetBackbone(Backbone):
    """ResNet-18 to -152 and relatives. Channels of ResNet-50: stem 64, then 256, 512, 1024, 2048."""

    def __init__(self, model: ResNet):
        del model.global_pool, model.fc
        widths = {f"layer{info['module'][-1]}": info["num_chs"] for info in model.feature_info[1:]}
        res2, res3, res4, res5 = (widths[f"layer{i}"] for i in (1, 2, 3, 4))
        stem = model.bn1.num_features
        super().__init__(model, {"res5": res5, "res4": res4, "res3": res3, "stem": stem, "res2": res2})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        model = self.model
        stem = model.maxpool(model.act1(model.bn1(model.conv1(images))))
        res2 = model.layer1(stem)
        res3 = model.layer2(res2)
        res4 = model.layer3(res3)
        res5 = model.layer4(res4)
        return {"stem": stem, "res2": res2, "res3": res3, "res4": res4, "res5": res5}


class MobileNetV3Backbone(Backbone):
    """Small: 16, 88, 144, 576. Large: 72, 120, 672, 960. The stem is the first convolution, at stride 2."""

    def __init__(self, model: MobileNetV3):
        for unused in ("global_pool", "conv_head", "norm_head", "act2", "flatten", "classifier"):
            delattr(model, unused)
        stride, last_of_stride = 2, {}
        for index, block in enumerate(block for stage in model.blocks for block in stage):
            depthwise = getattr(block, "conv_dw", None)
            stride *= depthwise.stride[0] if depthwise is not None else 1
            last_of_stride[stride] = index, (block.conv if depthwise is None else depthwise).out_channels
        channels = {name: last_of_stride[s][1] for name, s in STRIDES.items()}
        super().__init__(model, channels | {"stem": model.conv_stem.out_channels}, stem_stride=2)
        self.taps = {last_of_stride[s][0]: name for name, s in STRIDES.items()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.model.bn1(self.model.conv_stem(images))
        features = {"stem": x}
        for index, block in enumerate(block for stage in self.model.blocks for block in stage):
            expanded, x = _expanded_and_output(block, x)
            if index in self.taps:
                features[self.taps[index]] = expanded
        return features


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


class ConvNeXtBackbone(Backbone):
    """Tiny and small: stem 96, then 96, 192, 384, 768. Base: 128 to 1024. Large: 192 to 1536.

    The stem sees one more pixel on the left and top and up to two on the right and bottom, each downsampling one on
    the right and bottom: zeros, as the released models were trained.
    """

    def __init__(self, model: ConvNeXt):
        del model.norm_pre, model.head
        res2, res3, res4, res5 = (info["num_chs"] for info in model.feature_info)
        super().__init__(model, {"res5": res5, "res4": res4, "res3": res3, "res2": res2, "stem": res2})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.model.stem(F.pad(images, (1, 2, 1, 2)))
        features = {"stem": x}
        for name, stage in zip(reversed(STAGES), self.model.stages, strict=True):
            if not isinstance(stage.downsample, nn.Identity):
                x = F.pad(x, (0, 1, 0, 1))
            x = stage(x)
            features[name] = x
        return features


class TimmFeatures(Backbone):
    """Any timm model whose ``features_only`` form has strides 4, 8, 16 and 32."""

    def __init__(self, model: nn.Module):
        reductions, widths = model.feature_info.reduction(), model.feature_info.channels()
        missing = [s for s in STRIDES.values() if s not in reductions]
        if missing:
            raise UserError(
                f"model.backbone: its features have strides {reductions}, without {missing[0]}; choose a backbone "
                "with strides 4, 8, 16 and 32, such as resnet50."
            )
        index = {name: reductions.index(s) for name, s in STRIDES.items()}
        super().__init__(model, {name: widths[i] for name, i in index.items()})
        self.index = index
        self.channels_last_output = getattr(model, "output_fmt", None) == "NHWC"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.model(images)
        if self.channels_last_output:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        return {name: maps[i] for name, i in self.index.items()}


def _family(model: nn.Module) -> type[Backbone]:
    """Which wrapper reads this model."""
    if isinstance(model, ResNet):
        return ResNetBackbone
    if isinstance(model, MobileNetV3) and "mobilenetv3" in model.default_cfg["architecture"]:
        return MobileNetV3Backbone
    if isinstance(model, ConvNeXt):
        return ConvNeXtBackbone
    return TimmFeatures
