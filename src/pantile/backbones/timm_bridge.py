"""timm models as backbones: the features that panoptic decoders read, and nothing else of the model.

ResNet, MobileNetV3 and ConvNeXt are in ``timm_convnets``, with what is read of them; Swin in ``timm_swin``, BEiT in
``timm_beit``, other plain vision transformers in ``timm_tokens`` and ``simple_pyramid``, and all else with features at
strides 4, 8, 16 and 32 in ``timm_features`` and ``timm_sizes``.

At output stride 16 the last stage keeps its resolution and its later blocks are dilated instead, where timm can do so;
ResNets can do so for two stages, at output stride 8.

Modules and parameters keep timm's names below ``model``.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import timm
import torch
from timm.models.beit import Beit
from timm.models.convnext import ConvNeXt
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from pantile.backbones.interface import Backbone
from pantile.backbones.simple_pyramid import SimplePyramid, pyramid_patch_size
from pantile.backbones.timm_beit import BeitBackbone
from pantile.backbones.timm_convnets import (
    ConvNeXtBackbone,
    MobileNetV3Backbone,
    ResNetBackbone,
    dilated_mobilenet_blocks,
)
from pantile.backbones.timm_features import TimmFeatures
from pantile.backbones.timm_sizes import Sizing, sizing_of
from pantile.backbones.timm_swin import SwinBackbone
from pantile.backbones.timm_tokens import PlainTransformer, is_plain_transformer
from pantile.contracts.errors import UserError


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
        image_size: (H, W) in pixels for which a BEiT or another transformer stores its positions; None is the name's.
        feature_blocks: after how many blocks a BEiT's features are taken; None is its default.

    Raises:
        UserError: unknown name, no download possible, unreadable file, a model without the four strides, or one
            that timm cannot build at this output stride.
    """
    base_name = checked_name(name, weights_file)
    if output_stride not in (8, 16, 32):
        raise UserError(f"model.output_stride is {output_stride}; give 32 or 16, or 8 for a ResNet.")

    family = _family(base_name)
    if output_stride < 32 and family is not SimplePyramid:
        _check_dilation(base_name)
    if output_stride == 8 and family is not ResNetBackbone:
        raise UserError(f"model.output_stride is 8, which only ResNets can have; give 16 or 32 for {base_name}.")
    options: dict = {"in_chans": in_channels}
    if drop_path > 0:
        options["drop_path_rate"] = drop_path
    whole_model = options
    if family is TimmFeatures:
        options = options | {"features_only": True}
    if output_stride < 32 and family not in (MobileNetV3Backbone, SimplePyramid):
        options = options | {"output_stride": output_stride}
    sizing = Sizing()
    if family is TimmFeatures:
        sizing = sizing_of(base_name, output_stride)
        options |= dict(sizing.options)
    if feature_blocks is not None and family is not BeitBackbone:
        raise UserError(f"model.feature_blocks is for BEiT; leave it out for {base_name}.")
    if image_size is not None and family not in (BeitBackbone, SimplePyramid):
        raise UserError(f"model.image_size is for vision transformers; leave it out for {base_name}.")
    if family in (BeitBackbone, SimplePyramid):
        options |= {"num_classes": 0} | ({} if image_size is None else {"img_size": image_size})
    if family is SimplePyramid:
        tokens = create_tokens(name, options, pyramid_patch_size, pretrained=pretrained, weights_file=weights_file)
        return SimplePyramid(tokens, output_stride)
    if family is TimmFeatures and weights_file is not None:
        # timm takes any file for the features alone, even one that has none of their tensors
        build(name, whole_model, pretrained=pretrained, weights_file=weights_file)
    model = build(name, options, pretrained=pretrained, weights_file=weights_file)
    if output_stride == 16 and family is MobileNetV3Backbone:
        model.blocks = dilated_mobilenet_blocks(model, base_name, drop_path)
    if drop_path > 0 and not any(getattr(module, "drop_prob", 0.0) > 0 for module in model.modules()):
        raise _no_drop_path(name)
    if family is BeitBackbone:
        return BeitBackbone(model, output_stride, feature_blocks)
    if family is TimmFeatures:
        return TimmFeatures(model, output_stride, base_name, sizing.multiple)
    return family(model, output_stride)


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
        with _silent_about_heads():
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


@contextmanager
def _silent_about_heads() -> Iterator[None]:
    """timm warns of tensors of a file that features have no use for; what must fit is checked with the whole model."""
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _no_drop_path(name: str) -> UserError:
    return UserError(f"model.backbone_drop_path: timm's {name} has no stochastic depth; set it to 0.")


def create_tokens(
    name: str,
    options: dict,
    patch_size: Callable[[int], int],
    *,
    pretrained: bool,
    weights_file: str | None,
) -> PlainTransformer:
    """A plain transformer for images of any size.

    Args:
        options: for timm.
        patch_size: the wanted side of patches, by the name's. The first kernel of loaded weights is resampled to it.
    """
    with torch.device("meta"):
        size = timm.create_model(name.partition(".")[0]).patch_embed.patch_size[0]
    wanted = patch_size(size)
    options = (
        options | {"dynamic_img_size": True, "num_classes": 0} | ({} if wanted == size else {"patch_size": wanted})
    )
    return PlainTransformer(build(name, options, pretrained=pretrained, weights_file=weights_file))


@cache
def _family(base_name: str) -> type[Backbone]:
    """Which wrapper reads this model."""
    with torch.device("meta"):
        model = timm.create_model(base_name)
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
    return SimplePyramid if is_plain_transformer(model) else TimmFeatures


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
        with torch.device("meta"):
            timm.create_model(base_name, features_only=True, output_stride=16)
    except Exception as error:  # timm's models say it in several ways, some with an empty assertion
        raise UserError(
            f"model.output_stride: timm cannot build {base_name} at 16; set it to 32, or take a backbone such as "
            "resnet50, convnext_tiny or mobilenetv3_large_100."
        ) from error
