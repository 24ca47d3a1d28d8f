"""timm models as backbones: the features that panoptic decoders read, and nothing else of the model.

What is read where (checked against the published parameter counts of the decoders):

- ResNet family: the activated output of each stage; ``stem`` is the feature after the max-pooling (stride 4).
- MobileNetV3: not the narrow output of a stage's last block but its *expanded* depthwise feature, after batch norm
  and activation, before squeeze-and-excitation; at stride 32 the last 1x1 convolution.
- ConvNeXt: the raw output of each stage; ``stem`` is the patchify output (stride 4). Maps are zero-padded so that
  sizes of 32k+1 give n, 2n-1, 4n-3, ... as they do in the other families.
- BEiT: see ``timm_beit``.
- any other timm model with features at strides 4, 8, 16 and 32: timm's ``features_only``; no stem.

At output stride 16 the last stage keeps its resolution and its later blocks are dilated instead, where timm can do so;
ResNets can do so for two stages, at output stride 8.

Modules and parameters keep timm's names below ``model``.
"""

import re
from collections import Counter
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from timm.models import group_parameters
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.beit import Beit
from timm.models.convnext import ConvNeXt
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from pantile.backbones.interface import Backbone, layers_behind
from pantile.backbones.timm_beit import BeitBackbone
from pantile.backbones.timm_swin import SwinBackbone
from pantile.contracts.errors import UserError

STAGES = ("res5", "res4", "res3", "res2")


class TimmBackbone(Backbone):
    """A timm model behind the interface, as ``model``."""

    def __init__(self, model: nn.Module, channels: dict[str, int], stem_stride: int = 4, output_stride: int = 32):
        super().__init__(channels, stem_stride=stem_stride, output_stride=output_stride)
        self.model = model


def weights_name(name: str) -> str:
    """A timm name with the tag of its weights: the given one, else the one that timm takes.

    Args:
        name: such as ``resnet50.tv_in1k`` or ``resnet50``.
    """
    known = None if "." in name else timm.get_pretrained_cfg(name)
    return f"{name}.{known.tag}" if known is not None and known.tag else name


def create_backbone(
    name: str,
    *,
    pretrained: bool = False,
    weights_file: str | None = None,
    in_channels: int = 3,
    drop_path: float = 0.0,
    output_stride: int = 32,
    image_size: tuple[int, int] | None = None,
    feature_blocks: tuple[int, int, int, int] | None = None,
) -> Backbone:
    """A backbone by its timm name.

    Args:
        name: such as ``resnet50.tv_in1k`` or ``convnext_tiny.fb_in22k_ft_in1k``; the tag after the dot names the
            weights. Without one timm takes the weights that it prefers, which change between its versions.
        pretrained: load timm's ImageNet weights, downloaded on first use.
        weights_file: load these weights of the whole timm model (.safetensors, .pth) instead.
        in_channels: bands of the image; timm adapts the first kernel when weights are loaded.
        drop_path: stochastic depth rate of the last block; 0..1.
        output_stride: of res5, 32 or 16; 8 for a ResNet.
        image_size: (H, W) in pixels for which a BEiT stores its relative positions; None is the name's.
        feature_blocks: after how many blocks a BEiT's features are taken; None is its default.

    Raises:
        UserError: unknown name, no download possible, unreadable file, a model without the four strides, or one
            that timm cannot build at this output stride.
    """
    base_name = checked_name(name, weights_file)
    if output_stride not in (8, 16, 32):
        raise UserError(f"model.output_stride is {output_stride}; give 32 or 16, or 8 for a ResNet.")

    with torch.device("meta"):
        family = _family(timm.create_model(base_name))
        if output_stride < 32:
            _check_dilation(base_name)
    if output_stride == 8 and family is not ResNetBackbone:
        raise UserError(f"model.output_stride is 8, which only ResNets can have; give 16 or 32 for {base_name}.")
    options: dict = {"in_chans": in_channels}
    if drop_path > 0:
        options["drop_path_rate"] = drop_path
    whole_model = options
    if family is TimmFeatures:
        options = options | {"features_only": True}
    if output_stride < 32 and family is not MobileNetV3Backbone:
        options = options | {"output_stride": output_stride}
    if family is BeitBackbone:
        options |= {"num_classes": 0} | ({} if image_size is None else {"img_size": image_size})
    elif image_size is not None or feature_blocks is not None:
        raise UserError(f"model.image_size and model.feature_blocks are for BEiT; leave them out for {base_name}.")
    if family is TimmFeatures and weights_file is not None:
        # timm takes any file for the features alone, even one that has none of their tensors
        build(name, whole_model, pretrained=pretrained, weights_file=weights_file)
    model = build(name, options, pretrained=pretrained, weights_file=weights_file)
    if output_stride == 16 and family is MobileNetV3Backbone:
        model.blocks = _dilated_mobilenet_blocks(model, base_name, drop_path)
    if drop_path > 0 and not any(getattr(module, "drop_prob", 0.0) > 0 for module in model.modules()):
        raise _no_drop_path(name)
    if family is BeitBackbone:
        return BeitBackbone(model, output_stride, feature_blocks)
    return TimmFeatures(model, output_stride, base_name) if family is TimmFeatures else family(model, output_stride)


def checked_name(name: str, weights_file: str | None = None) -> str:
    """The name without its tag.

    Raises:
        UserError: timm has no such model or no such weights of it, or there is no such file.
    """
    base_name = name.partition(".")[0]
    if not timm.is_model(base_name):
        close = ", ".join(timm.list_models(f"*{base_name.split('_')[0]}*")[:4]) or "resnet50, convnext_tiny"
        raise UserError(f"model.backbone: timm has no model named {name!r}; try one of {close}.")
    _check_tag(name)
    if weights_file is not None and not Path(weights_file).is_file():
        raise UserError(f"model.backbone_weights: there is no file {weights_file}; give timm weights of {name}.")
    return base_name


def build(name: str, options: dict, *, pretrained: bool, weights_file: str | None) -> nn.Module:
    """timm's model, with timm's weights, those of a file, or random ones.

    Raises:
        UserError: timm cannot build it so, or the weights cannot be had or do not fit.
    """
    options = options | {"pretrained": pretrained}
    if weights_file is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": weights_file}}
    try:
        return timm.create_model(name, **options)
    except Exception as error:
        if "drop_path_rate" in str(error):
            raise _no_drop_path(name) from error
        if not options["pretrained"]:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"model.backbone: timm cannot build {name!r} as a backbone ({reason}).") from error
        raise UserError(
            f"model.backbone: could not load weights of {name} from {weights_file or 'the network'} "
            f"({type(error).__name__}); set model.pretrained to false, or give a file of timm weights in "
            "model.backbone_weights."
        ) from error


def _no_drop_path(name: str) -> UserError:
    return UserError(f"model.backbone_drop_path: timm's {name} has no stochastic depth; set it to 0.")


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
        return layers_behind(_names(self), r"model\.layer(\d+)\.(\d+)\.")


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
        return layers_behind(_names(self), r"model\.blocks\.(\d+)\.(\d+)\.")


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
        names, layers = _names(self), -(-len(self.model.stages[2].blocks) // 3)
        behind = dict.fromkeys(names, layers + 4)  # the stem
        for name in names:
            if match := re.match(r"model\.stages\.(\d+)\.(?:blocks\.(\d+))?", name):
                stage, block = int(match[1]), int(match[2] or 0)
                behind[name] = (layers + 3, layers + 2, layers + 1 - block // 3, 1)[stage]
        return behind


class TimmFeatures(TimmBackbone):
    """Any timm model whose ``features_only`` form has strides 4, 8, 16 and 32, or 16 twice at output stride 16."""

    def __init__(self, model: nn.Module, output_stride: int, timm_name: str):
        reductions, widths = model.feature_info.reduction(), model.feature_info.channels()
        wanted = dict(zip(STAGES, (output_stride, 16, 8, 4), strict=True))
        missing = Counter(wanted.values()) - Counter(reductions)
        if missing:
            raise UserError(
                f"model.backbone: its features have strides {reductions}, without {min(missing)}; choose a backbone "
                "with strides 4, 8, 16 and 32, such as resnet50."
            )
        index = {name: reductions.index(s) for name, s in wanted.items()}
        if output_stride == 16:
            index["res5"] = reductions.index(16, index["res4"] + 1)
        channels = {name: widths[i] for name, i in index.items()}
        super().__init__(model, channels, output_stride=output_stride)
        self.timm_name = timm_name
        self.index = index
        self.channels_last_output = getattr(model, "output_fmt", None) == "NHWC"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.model(images)
        if self.channels_last_output:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        return {name: maps[i] for name, i in self.index.items()}

    def layers_behind(self) -> dict[str, int]:
        """As timm groups the parameters of the whole model; its features have some names with _ for a dot."""
        with torch.device("meta"):
            whole = timm.create_model(self.timm_name)
        layer_of = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
        layer_of |= {re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", name): layer for name, layer in layer_of.items()}
        own = {name: layer_of[name.removeprefix("model.")] for name in _names(self)}
        return {name: max(own.values()) + 1 - layer for name, layer in own.items()}


def _names(backbone: nn.Module) -> list[str]:
    return [name for name, _ in backbone.named_parameters()]


def _family(model: nn.Module) -> type[Backbone]:
    """Which wrapper reads this model."""
    if isinstance(model, ResNet):
        return ResNetBackbone
    if isinstance(model, MobileNetV3) and "mobilenetv3" in model.default_cfg["architecture"]:
        return MobileNetV3Backbone
    if isinstance(model, ConvNeXt):
        return ConvNeXtBackbone
    if isinstance(model, SwinTransformer):
        return SwinBackbone
    if isinstance(model, Beit):
        return BeitBackbone
    return TimmFeatures


def _check_tag(name: str) -> None:
    """Raises a UserError for a tag that timm does not know."""
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:
        base_name, _, tag = name.partition(".")
        tags = ", ".join(known.partition(".")[2] for known in timm.list_pretrained(f"{base_name}.*")) or "none"
        raise UserError(f"model.backbone: timm has no weights {tag!r} of {base_name}; it has {tags}.") from None


def _check_dilation(base_name: str) -> None:
    """Raises a UserError for models that timm cannot build at output stride 16."""
    try:
        timm.create_model(base_name, features_only=True, output_stride=16)
    except Exception as error:  # timm's models say it in several ways, some with an empty assertion
        raise UserError(
            f"model.output_stride: timm cannot build {base_name} at 16; set it to 32, or take a backbone such as "
            "resnet50, convnext_tiny or mobilenetv3_large_100."
        ) from error


def _dilated_mobilenet_blocks(model: MobileNetV3, base_name: str, drop_path: float) -> nn.Module:
    """The model's blocks at output stride 16, with its weights; in timm only the features-only form has them."""
    dilated = timm.create_model(base_name, features_only=True, output_stride=16, drop_path_rate=drop_path).blocks
    dilated.load_state_dict(model.blocks.state_dict())
    return dilated
