"""One function that makes any backbone from its name."""

import timm
from timm.models import PretrainedCfg
from torch import nn

from pantile.backbones import timm_bridge
from pantile.backbones.axial_resnet import AxialResNet, is_axial_resnet, named_axial_resnet
from pantile.backbones.interface import Backbone
from pantile.backbones.swidernet import SWideRNet, SWideRNetConfig, is_swidernet, named_config
from pantile.backbones.vit_adapter import PREFIX as ADAPTED
from pantile.backbones.vit_adapter import ViTAdapter
from pantile.backbones.weights_file import load_backbone_weights
from pantile.contracts.errors import UserError


def weights_name(name: str) -> str | None:
    """The public weights that ``pretrained`` loads: the timm name with its tag; None where there are none."""
    is_ours = is_swidernet(name) or is_axial_resnet(name)
    return None if is_ours else timm_bridge.weights_name(name.removeprefix(ADAPTED))


def tagged(name: str) -> str:
    """The same backbone; where there are public weights, with their tag in its name."""
    weights = weights_name(name)
    return name if weights is None else (ADAPTED if name.startswith(ADAPTED) else "") + weights


def public_weights(name: str) -> PretrainedCfg | None:
    """What timm knows of its weights of this name, with or without a tag; None where it knows none."""
    weights = weights_name(name)
    try:
        return None if weights is None else timm.get_pretrained_cfg(weights)
    except RuntimeError:  # an unknown tag, told where the backbone is built
        return None


def image_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation per band on the 0..255 scale, with which timm's weights of this name were trained;
    None where timm knows none.

    Args:
        name: of a backbone, with or without a tag.
    """
    known = public_weights(name)
    if known is None:
        return None
    return tuple(round(255 * x, 4) for x in known.mean), tuple(round(255 * x, 4) for x in known.std)


def create_backbone(
    name: str | Backbone,
    *,
    pretrained: bool = False,
    weights_file: str | None = None,
    in_channels: int = 3,
    drop_path: float = 0.0,
    output_stride: int = 32,
    swidernet: SWideRNetConfig | None = None,
    image_size: tuple[int, int] | None = None,
    feature_blocks: tuple[int, int, int, int] | None = None,
) -> Backbone:
    """A backbone by name.

    Args:
        name: "wr41", "swidernet_W1_W2_L" (such as swidernet_1_1_4.5), "axial_r50", "axial_r104", "max_s", "max_l",
            "vit_adapter_" and the timm name of a BEiT, or a timm name; or a backbone, which is taken as it is.
        pretrained: load timm's ImageNet weights, downloaded on first use.
        weights_file: load these weights instead: of the whole timm model, of a SWideRNet or its classifier, or of an
            Axial-ResNet.
        in_channels: bands of the image; the first kernel is adapted when weights are loaded.
        drop_path: stochastic depth rate, 0..1.
        output_stride: of res5, 32 or 16; 8 for a ResNet.
        swidernet: options of SWideRNet, stochastic depth included; the name decides w1, w2 and l, and "wr41" leaves
            out SE and SAC. Without it SWideRNet has its defaults and ``drop_path``. timm models do not read it.
        image_size: (H, W) in pixels for which a BEiT stores its relative positions; None is the name's.
        feature_blocks: after how many blocks a BEiT's four features are taken.

    Raises:
        UserError: unknown or malformed name, options that do not fit it, weights that cannot be had or do not fit.
    """
    if isinstance(name, nn.Module):
        return _checked(name, pretrained or weights_file is not None, output_stride)
    if is_axial_resnet(name):
        _no_public_weights(name, pretrained and weights_file is None)
        config = named_axial_resnet(name, drop_path=drop_path)
        backbone = AxialResNet(config, output_stride=output_stride, in_channels=in_channels)
        if weights_file is not None:
            load_backbone_weights(backbone, weights_file, "stem.0.conv.weight")
        return backbone
    if not is_swidernet(name):
        backbone = timm_bridge.create_backbone(
            name.removeprefix(ADAPTED),
            pretrained=pretrained,
            weights_file=weights_file,
            in_channels=in_channels,
            drop_path=drop_path,
            output_stride=output_stride,
            image_size=image_size,
            feature_blocks=feature_blocks,
        )
        return ViTAdapter(backbone, in_channels, drop_path) if name.startswith(ADAPTED) else backbone
    if swidernet is None:
        swidernet = SWideRNetConfig(drop_path=drop_path)
    elif drop_path not in (0.0, swidernet.drop_path):
        raise UserError(
            f"model.backbone: stochastic depth is {drop_path:g} and, in swidernet.drop_path, {swidernet.drop_path:g}; "
            "give it in swidernet.drop_path only."
        )
    config = named_config(name, swidernet)
    _no_public_weights(name, pretrained and weights_file is None)
    backbone = SWideRNet(config, output_stride=output_stride, in_channels=in_channels)
    if weights_file is not None:
        backbone.load_weights(weights_file)
    return backbone


def _no_public_weights(name: str, wanted: bool) -> None:
    if wanted:
        raise UserError(
            f"model.pretrained: there are no public PyTorch weights of {name}; set it to false, or give a file in "
            "model.backbone_weights."
        )


def _checked(backbone: nn.Module, wants_weights: bool, output_stride: int) -> nn.Module:
    """A backbone of somebody's own.

    Raises:
        UserError: it does not say its channels and strides, has another output stride, or weights are asked for.
    """
    maps = ("res2", "res3", "res4", "res5")
    channels, strides = getattr(backbone, "channels", {}), getattr(backbone, "strides", {})
    if any(name not in channels or name not in strides for name in maps):
        raise UserError(
            f"model.backbone: {type(backbone).__name__} must have the attributes `channels` and `strides`, "
            f"{{name: number}} of {', '.join(maps)}, and return {{name: (B, C, h, w)}}."
        )
    if strides["res5"] != output_stride:
        raise UserError(
            f"model.backbone: res5 of {type(backbone).__name__} has stride {strides['res5']}, but the model wants "
            f"{output_stride}."
        )
    if wants_weights:
        raise UserError(
            f"model.backbone: {type(backbone).__name__} is a module, whose weights are loaded before it is given: set "
            "model.pretrained to false and model.backbone_weights to none."
        )
    return backbone
